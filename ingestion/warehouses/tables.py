"""Tables of a dataset file: what they look like, and how staged rows fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.formats.described import schema_from_duckdb
from ingestion.formats.types import duckdb_type, quoted, type_label
from ingestion.formats.widening import wider
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.warehouses.base import TargetTable

ROW_NUMBER_COLUMN = '"_ingestion_row_number"'


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


def row_number(schema: TableSchema) -> str:
    """The column of a staging table that numbers its rows from 0: DuckDB's own, unless one of the rows' hides it."""
    return "rowid" if schema.get("rowid") is None else ROW_NUMBER_COLUMN


@dataclass(frozen=True)
class SchemaChanges:
    """What the target needs to take staged rows: `added` columns, and columns of a `widened` type."""

    added: Sequence[SchemaField]
    widened: Sequence[SchemaField]


def changes(staged: TableSchema, target: TableSchema, table: str) -> SchemaChanges:
    """How the target has to change. Raises SchemaMismatch listing every column it cannot hold without loss."""
    conflicts, widened = [], []
    for field in staged.fields:
        there = target.get(field.name)
        if there is None or duckdb_type(there) == duckdb_type(field):
            continue
        wide = wider(there, field)
        if wide is None or duckdb_type(wide) != duckdb_type(field):
            conflicts.append(f"{field.name} is {type_label(field)}, the target has {type_label(there)}")
        else:
            widened.append(field.model_copy(update={"name": there.name}))
    if conflicts:
        raise SchemaMismatch(
            f"the rows do not fit the table {table}: {'; '.join(conflicts)}; convert the columns by "
            "transformation_params.type_conversions, or load into another table",
            conflicts=conflicts,
        )
    return SchemaChanges([field for field in staged.fields if target.get(field.name) is None], widened)


def change(connection: duckdb.DuckDBPyConnection, relation: str, needed: SchemaChanges) -> None:
    """Add and widen columns. Raises SchemaMismatch where a value of the table would not survive."""
    for field in needed.added:
        connection.execute(f"ALTER TABLE {relation} ADD COLUMN {quoted(field.name)} {duckdb_type(field)}")
    for field in needed.widened:
        column, wide = quoted(field.name), duckdb_type(field)
        lost = number(
            connection,
            f"SELECT count(*) FROM {relation} WHERE CAST({column} AS {wide}) IS DISTINCT FROM {column} "
            f"OR CAST(CAST({column} AS {wide}) AS HUGEINT) IS DISTINCT FROM CAST({column} AS HUGEINT)"
            if field.type is FieldType.FLOAT
            else f"SELECT count(*) FROM {relation} WHERE TRY_CAST({column} AS {wide}) IS NULL AND {column} IS NOT NULL",
        )
        if lost:
            raise SchemaMismatch(
                f"the column {field.name} of {relation} cannot become {type_label(field)}: {lost} of its values would "
                "change; convert the rows by transformation_params.type_conversions",
                column=field.name,
            )
        connection.execute(f"ALTER TABLE {relation} ALTER COLUMN {column} SET DATA TYPE {wide}")


def relax(connection: duckdb.DuckDBPyConnection, target: TargetTable, given: TableSchema) -> None:
    """Let columns be NULL that the rows do not have: a table made by hand may require them."""
    found = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = 'main' "
        "AND lower(table_name) = lower(?) AND NOT is_nullable AND column_default IS NULL",
        [target.table],
    ).fetchall()
    for (name,) in found:
        if given.get(name) is None:
            connection.execute(f"ALTER TABLE {target_name(target)} ALTER COLUMN {quoted(name)} DROP NOT NULL")
