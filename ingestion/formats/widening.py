"""Which column type holds the values of two others: how a table's column grows when its source's does."""

from __future__ import annotations

from ingestion.formats.types import MAX_PRECISION, decimal_digits, duckdb_type, numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_DECIMALS = (FieldType.NUMERIC, FieldType.BIGNUMERIC)
_INTEGER_DIGITS = 19


def wider(there: SchemaField, staged: SchemaField) -> SchemaField | None:
    """The narrowest column, named like `there`, that holds the values of both; None when no type holds them all.

    Only steps that BigQuery's ALTER COLUMN knows too: INTEGER to NUMERIC, BIGNUMERIC or FLOAT, a decimal to one with
    more digits. FLOAT holds an INTEGER only up to 2^53: whoever makes that step has to look at the values.
    """
    if duckdb_type(there) == duckdb_type(staged):
        return there
    if FieldMode.REPEATED in (there.mode, staged.mode):
        return None
    kinds = {there.type, staged.type}
    if kinds == {FieldType.INTEGER, FieldType.FLOAT}:
        return _typed(there, SchemaField(name=there.name, type=FieldType.FLOAT))
    if kinds <= {FieldType.INTEGER, *_DECIMALS}:
        return _decimal(there, staged)
    return None


def needs_values_checked(narrow: SchemaField, wide: SchemaField) -> bool:
    """Whether only the values tell that nothing is lost between two types of `wider`."""
    return narrow.type is FieldType.INTEGER and wide.type is FieldType.FLOAT


def _decimal(there: SchemaField, staged: SchemaField) -> SchemaField | None:
    digits = [_digits(field) for field in (there, staged)]
    before, after = max(digit[0] for digit in digits), max(digit[1] for digit in digits)
    if before + after > MAX_PRECISION:
        return None
    wide = _typed(there, numeric_field(there.name, before + after, after))
    if duckdb_type(wide) == duckdb_type(there):
        return there
    return _typed(there, staged) if duckdb_type(wide) == duckdb_type(staged) else wide


def _digits(field: SchemaField) -> tuple[int, int]:
    """Digits before and after the point."""
    if field.type is FieldType.INTEGER:
        return _INTEGER_DIGITS, 0
    precision, scale = decimal_digits(field)
    return precision - scale, scale


def _typed(there: SchemaField, wide: SchemaField) -> SchemaField:
    return there.model_copy(update={"type": wide.type, "precision": wide.precision, "scale": wide.scale})
