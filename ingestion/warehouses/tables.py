"""Tables of a dataset file: what they look like, and how staged rows fit them."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.formats.described import schema_from_duckdb
from ingestion.formats.types import duckdb_type, quoted, type_label
from ingestion.model.schema import SchemaField, TableSchema
from ingestion.warehouses.base import TargetTable


def target_name(target: TargetTable) -> str:
    """The target's quoted name inside its dataset file."""
    return f"main.{quoted(target.table)}"


def staging_name(execution_id: str, target: TargetTable) -> str:
    """The quoted name of the execution's staging table."""
    return f"_staging.{quoted(f'{target.table}__{execution_id}')}"


def rejects_name(execution_id: str, target: TargetTable) -> str:
    """The quoted name of the table with the execution's rejected rows."""
    return f"_staging.{quoted(f'{target.table}__{execution_id}__rejects')}"


def exists(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Whether there is a table of that name, in any case. Raises TargetFailed when the name is a view's."""
    row = connection.execute(
        "SELECT table_type FROM information_schema.tables "
        "WHERE table_catalog = current_database() AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)",
        [schema, table],
    ).fetchone()
    if row is not None and row[0] == "VIEW":
        raise TargetFailed(f"{schema}.{table} is a view; rows can only be loaded into a table", table=table)
    return row is not None


def schema_of(connection: duckdb.DuckDBPyConnection, relation: str) -> TableSchema:
    """The columns of a quoted table name. Raises SchemaMismatch for a type that BigQuery does not have."""
    try:
        return schema_from_duckdb(connection.execute(f"DESCRIBE {relation}").fetchall())
    except ValueError as error:
        raise SchemaMismatch(f"{relation}: {error}", relation=relation) from error


def count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """How many rows a relation has."""
    return number(connection, f"SELECT count(*) FROM {relation}")


def number(connection: duckdb.DuckDBPyConnection, statement: str, parameters: Sequence[object] = ()) -> int:
    """The one number a statement answers, such as the count of rows it wrote."""
    row = connection.execute(statement, list(parameters)).fetchone()
    if row is None:
        raise TargetFailed(f"the warehouse gave no answer to: {statement}")
    return int(row[0])


def new_columns(staged: TableSchema, target: TableSchema, table: str) -> Sequence[SchemaField]:
    """Columns the target lacks. Raises SchemaMismatch listing every column whose type differs from the target's."""
    conflicts = []
    for field in staged.fields:
        there = target.get(field.name)
        if there is not None and duckdb_type(there) != duckdb_type(field):
            conflicts.append(f"{field.name} is {type_label(field)}, the target has {type_label(there)}")
    if conflicts:
        raise SchemaMismatch(f"the rows do not fit the table {table}: {'; '.join(conflicts)}", conflicts=conflicts)
    return [field for field in staged.fields if target.get(field.name) is None]
