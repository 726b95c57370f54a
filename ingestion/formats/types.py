"""One mapping between BigQuery field types, DuckDB types and Arrow types.

DuckDB has no decimal wider than 38 digits: a BIGNUMERIC without precision is DECIMAL(38, 18), one with
more than 38 digits keeps its scale. A value that does not fit is rejected where it is read, never rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from ingestion.model.schema import FieldMode, FieldType, SchemaField

MAX_PRECISION = 38
_SCALAR: Mapping[FieldType, str] = {
    FieldType.STRING: "VARCHAR",
    FieldType.BYTES: "BLOB",
    FieldType.INTEGER: "BIGINT",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    FieldType.DATETIME: "TIMESTAMP",
    FieldType.DATE: "DATE",
    FieldType.TIME: "TIME",
    FieldType.JSON: "JSON",
}
_FROM_DUCKDB: Mapping[str, FieldType] = {
    "VARCHAR": FieldType.STRING,
    "UUID": FieldType.STRING,
    "BLOB": FieldType.BYTES,
    "BOOLEAN": FieldType.BOOLEAN,
    "TINYINT": FieldType.INTEGER,
    "SMALLINT": FieldType.INTEGER,
    "INTEGER": FieldType.INTEGER,
    "BIGINT": FieldType.INTEGER,
    "UTINYINT": FieldType.INTEGER,
    "USMALLINT": FieldType.INTEGER,
    "UINTEGER": FieldType.INTEGER,
    "FLOAT": FieldType.FLOAT,
    "DOUBLE": FieldType.FLOAT,
    "TIMESTAMP WITH TIME ZONE": FieldType.TIMESTAMP,
    "TIMESTAMP": FieldType.DATETIME,
    "DATE": FieldType.DATE,
    "TIME": FieldType.TIME,
    "JSON": FieldType.JSON,
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def decimal_digits(field: SchemaField) -> tuple[int, int]:
    """(precision, scale) of a NUMERIC or BIGNUMERIC field as DuckDB keeps it."""
    if field.precision is None:
        default = 9 if field.type is FieldType.NUMERIC else 18
        return MAX_PRECISION, default if field.scale is None else field.scale
    return min(field.precision, MAX_PRECISION), min(field.scale or 0, MAX_PRECISION)


def duckdb_type(field: SchemaField) -> str:
    """The DuckDB type that holds a column of this field, lists and structs included."""
    scalar = _duckdb_scalar(field)
    return f"{scalar}[]" if field.mode is FieldMode.REPEATED else scalar


def _duckdb_scalar(field: SchemaField) -> str:
    if field.type in (FieldType.NUMERIC, FieldType.BIGNUMERIC):
        precision, scale = decimal_digits(field)
        return f"DECIMAL({precision},{scale})"
    if field.type is FieldType.RECORD:
        parts = ", ".join(f"{quoted(part.name)} {duckdb_type(part)}" for part in field.fields or ())
        return f"STRUCT({parts})"
    return _SCALAR[field.type]


def field_of_duckdb(name: str, type_name: str, mode: FieldMode = FieldMode.NULLABLE) -> SchemaField:
    """The field for a scalar DuckDB column; types without an equal here are STRING."""
    if matched := _DECIMAL.fullmatch(type_name):
        return numeric_field(name, int(matched[1]), int(matched[2]), mode)
    return SchemaField(name=name, type=_FROM_DUCKDB.get(type_name, FieldType.STRING), mode=mode)


def numeric_field(name: str, precision: int, scale: int, mode: FieldMode = FieldMode.NULLABLE) -> SchemaField:
    """NUMERIC when BigQuery's NUMERIC can hold the digits (29 before the point, 9 after), else BIGNUMERIC."""
    fits = scale <= 9 and precision - scale <= 29
    kind = FieldType.NUMERIC if fits else FieldType.BIGNUMERIC
    return SchemaField(name=name, type=kind, mode=mode, precision=precision, scale=scale)


_ARROW_SCALAR: Mapping[FieldType, pa.DataType] = {
    FieldType.STRING: pa.string(),
    FieldType.BYTES: pa.binary(),
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    FieldType.DATETIME: pa.timestamp("us"),
    FieldType.DATE: pa.date32(),
    FieldType.TIME: pa.time64("us"),
    FieldType.JSON: pa.string(),
}


def arrow_type(field: SchemaField) -> pa.DataType:
    """The Arrow type of a column of this field."""
    scalar = _arrow_scalar(field)
    return pa.list_(scalar) if field.mode is FieldMode.REPEATED else scalar


def _arrow_scalar(field: SchemaField) -> pa.DataType:
    if field.type in (FieldType.NUMERIC, FieldType.BIGNUMERIC):
        return pa.decimal128(*decimal_digits(field))
    if field.type is FieldType.RECORD:
        return pa.struct([(part.name, arrow_type(part)) for part in field.fields or ()])
    return _ARROW_SCALAR[field.type]


def type_label(field: SchemaField) -> str:
    """The field's type in words, for messages and reject files: `NUMERIC(10, 2)`, `ARRAY<STRING>`."""
    label = field.type.value
    if field.precision is not None:
        label = f"{label}({field.precision}, {field.scale or 0})"
    return f"ARRAY<{label}>" if field.mode is FieldMode.REPEATED else label


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
