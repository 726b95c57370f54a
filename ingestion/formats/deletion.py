"""Which rows a column marks as deleted at the source."""

from __future__ import annotations

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import quoted, type_label
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_NUMBERS = (FieldType.INTEGER, FieldType.FLOAT, FieldType.NUMERIC, FieldType.BIGNUMERIC)
_TIMES = (FieldType.DATE, FieldType.DATETIME, FieldType.TIMESTAMP)


def deletion_test(column: SchemaField, prefix: str = "") -> str:
    """SQL that is true where the column marks its row as deleted. Raises SchemaMismatch for a type without meaning."""
    name = prefix + quoted(column.name)
    if column.mode is not FieldMode.REPEATED:
        if column.type is FieldType.BOOLEAN:
            return f"({name} IS TRUE)"
        if column.type in _NUMBERS:
            return f"coalesce({name} <> 0, false)"
        if column.type in _TIMES:
            return f"({name} IS NOT NULL)"
    raise SchemaMismatch(
        f"the column {column.name} is {type_label(column)} and cannot mark deleted rows; a BOOLEAN, a number, a date "
        "or a timestamp can (transformation_params.type_conversions makes it one)",
        column=column.name,
    )
