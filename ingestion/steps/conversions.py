"""SQL that converts a column from one field type to another without losing what it says.

A value that does not convert becomes NULL here; the transformation turns such a row into a reject.
What a conversion is for may go (the time of day when a timestamp becomes a date, digits a FLOAT has too
many of for NUMERIC), anything else may not (the fraction of 1.5 when it becomes an INTEGER).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ingestion.errors import SchemaMismatch
from ingestion.formats.casting import cast
from ingestion.formats.types import duckdb_type, type_label
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_STANDARD_NAMES: Mapping[str, FieldType] = {
    "INT64": FieldType.INTEGER,
    "FLOAT64": FieldType.FLOAT,
    "BOOL": FieldType.BOOLEAN,
}
_DECIMAL = re.compile(r"(NUMERIC|BIGNUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_MAX_DIGITS = 38
CONVERTIBLE = (*(kind.value for kind in FieldType if kind is not FieldType.RECORD), *_STANDARD_NAMES)
"""Type names a column can be converted to; NUMERIC and BIGNUMERIC also with (precision, scale)."""

_NUMBERS = (FieldType.INTEGER, FieldType.FLOAT, FieldType.NUMERIC, FieldType.BIGNUMERIC)


def field_of(name: str, type_name: str) -> SchemaField:
    """The column `name` of a type as clients write it. Raises ValueError with the known names."""
    written = type_name.strip().upper()
    if found := _DECIMAL.fullmatch(written):
        precision, scale = int(found[2]), int(found[3] or 0)
        if not 0 < precision <= _MAX_DIGITS or scale > precision:
            raise ValueError(f"{type_name!r} is out of range: 1 to {_MAX_DIGITS} digits, not fewer than the scale")
        return SchemaField(name=name, type=FieldType(found[1]), precision=precision, scale=scale)
    kind = _STANDARD_NAMES.get(written) or next((kind for kind in FieldType if kind.value == written), None)
    if kind is None or kind is FieldType.RECORD:
        raise ValueError(f"{type_name!r} is not a type a column can be converted to: {', '.join(CONVERTIBLE)}")
    return SchemaField(name=name, type=kind)


def text_of(column: str, field: SchemaField) -> str:
    """SQL for a value as text, as it was; NULL only where there is no value."""
    if field.mode is FieldMode.REPEATED or field.type is FieldType.RECORD:
        return f"CAST(to_json({column}) AS VARCHAR)"
    if field.type is FieldType.JSON:
        return f"json_extract_string({column}, '$')"
    if field.type is FieldType.BYTES:
        return f"to_base64({column})"
    return f"CAST({column} AS VARCHAR)"


def convert(column: str, source: SchemaField, target: SchemaField) -> str:
    """SQL for the quoted `column` of field `source` as `target`. Raises SchemaMismatch for a pair without a rule."""
    if duckdb_type(source) == duckdb_type(target):
        return column
    if target.mode is FieldMode.REPEATED or target.type is FieldType.RECORD:
        raise _no_rule(source, target)
    if target.type is FieldType.STRING:
        return text_of(column, source)
    if target.type is FieldType.JSON and source.type is not FieldType.STRING:
        return f"to_json({column})"
    if source.mode is FieldMode.REPEATED or source.type is FieldType.RECORD:
        raise _no_rule(source, target)
    if source.type in (FieldType.STRING, FieldType.JSON):
        return cast(text_of(column, source) if source.type is FieldType.JSON else column, target)
    if source.type in _NUMBERS and target.type in _NUMBERS:
        return _number(column, source, target)
    rule = _RULES.get((source.type, target.type))
    if rule is None:
        raise _no_rule(source, target)
    return rule(column)


def _number(column: str, source: SchemaField, target: SchemaField) -> str:
    converted = f"TRY_CAST({column} AS {duckdb_type(target)})"
    if target.type is FieldType.FLOAT or source.type is FieldType.INTEGER:
        return converted
    if source.type is FieldType.FLOAT and target.type is not FieldType.INTEGER:
        return converted
    return f"CASE WHEN {converted} = {column} THEN {converted} END"


_RULES: Mapping[tuple[FieldType, FieldType], Callable[[str], str]] = {
    (FieldType.BOOLEAN, FieldType.INTEGER): lambda column: f"CAST({column} AS BIGINT)",
    (FieldType.INTEGER, FieldType.BOOLEAN): lambda column: f"CASE {column} WHEN 1 THEN true WHEN 0 THEN false END",
    (FieldType.DATE, FieldType.DATETIME): lambda column: f"CAST({column} AS TIMESTAMP)",
    (FieldType.DATE, FieldType.TIMESTAMP): lambda column: f"CAST({column} AS TIMESTAMP) AT TIME ZONE 'UTC'",
    (FieldType.DATETIME, FieldType.DATE): lambda column: f"CAST({column} AS DATE)",
    (FieldType.DATETIME, FieldType.TIME): lambda column: f"CAST({column} AS TIME)",
    (FieldType.DATETIME, FieldType.TIMESTAMP): lambda column: f"{column} AT TIME ZONE 'UTC'",
    (FieldType.TIMESTAMP, FieldType.DATE): lambda column: f"CAST({column} AT TIME ZONE 'UTC' AS DATE)",
    (FieldType.TIMESTAMP, FieldType.TIME): lambda column: f"CAST({column} AT TIME ZONE 'UTC' AS TIME)",
    (FieldType.TIMESTAMP, FieldType.DATETIME): lambda column: f"{column} AT TIME ZONE 'UTC'",
}


def _no_rule(source: SchemaField, target: SchemaField) -> SchemaMismatch:
    return SchemaMismatch(
        f"the column {source.name} cannot be converted from {type_label(source)} to {type_label(target)}",
        column=source.name,
        expected=type_label(target),
        got=type_label(source),
    )
