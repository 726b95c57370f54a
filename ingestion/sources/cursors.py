"""The cursor of sources that cannot be asked for their greatest value: told from the rows that were read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import quoted, type_label
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sources.base import Cursor
from ingestion.sql import parquet_relation

_ISO = {
    FieldType.TIMESTAMP: "strftime({value} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')",
    FieldType.DATETIME: "strftime({value}, '%Y-%m-%dT%H:%M:%S.%f')",
}
_ORDERED = (
    FieldType.INTEGER,
    FieldType.FLOAT,
    FieldType.NUMERIC,
    FieldType.BIGNUMERIC,
    FieldType.STRING,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.TIMESTAMP,
)


def greatest(files: Sequence[Path], schema: TableSchema, key: str, before: Cursor | None) -> Cursor | None:
    """The greatest value of the column `key` in the staged `files`; `before` when that is not lower, or none is there.

    Raises SchemaMismatch when there is no such column, or when its values have no order.
    """
    if not files:
        return before
    field = _ordered_field(schema, key)
    column = quoted(field.name)
    found = f"max({column}) FILTER (WHERE NOT isnan({column}))" if field.type is FieldType.FLOAT else f"max({column})"
    relation = parquet_relation(files)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if before is not None:
            # Told by the engine, which compares numbers and times as such.
            bound = f"(SELECT TRY_CAST(? AS {_type_in(connection, relation, column)}))"
            sql = f"SELECT {_text(field, f'greatest({found}, {bound})')} FROM {relation}"
            row = connection.execute(sql, [before.value]).fetchone()
        else:
            row = connection.execute(f"SELECT {_text(field, found)} FROM {relation}").fetchone()
    value = row[0] if row else None
    return before if value is None else Cursor(key, str(value))


def _ordered_field(schema: TableSchema, key: str) -> SchemaField:
    field = schema.get(key)
    if field is None:
        raise SchemaMismatch(f"incremental_key names {key}, but the columns are {', '.join(schema.names)}", column=key)
    if field.mode is FieldMode.REPEATED or field.type not in _ORDERED:
        raise SchemaMismatch(
            f"the column {field.name} is {type_label(field)}, whose values have no order; incremental_key needs a "
            "number, a text, a date or a time stamp",
            column=field.name,
        )
    return field


def _type_in(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> str:
    return str(connection.execute(f"DESCRIBE SELECT {column} FROM {relation}").fetchall()[0][1])


def _text(field: SchemaField, value: str) -> str:
    return _ISO.get(field.type, "CAST({value} AS VARCHAR)").format(value=value)
