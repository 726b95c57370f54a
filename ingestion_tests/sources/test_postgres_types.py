"""How each PostgreSQL type is read."""

from __future__ import annotations

import pytest

from ingestion.model.schema import FieldMode
from ingestion.sources.postgres_types import PostgresType, read_column


def kind(name: str, *, modifier: int = -1, typtype: str = "b", is_array: bool = False) -> PostgresType:
    return PostgresType(name, typtype, is_array, modifier, name)


def numeric(precision: int, scale: int) -> PostgresType:
    return kind("numeric", modifier=(precision << 16 | (scale & 0x7FF)) + 4)


@pytest.mark.parametrize(
    ("type_", "field", "digits"),
    [
        (numeric(10, 2), "NUMERIC", (10, 2)),
        (numeric(38, 10), "BIGNUMERIC", (38, 10)),
        (numeric(39, 0), "STRING", None),
        (numeric(10, -2), "NUMERIC", (12, 0)),
        (numeric(3, 5), "NUMERIC", (5, 5)),
        (kind("int8"), "INTEGER", None),
        (kind("float4"), "FLOAT", None),
        (kind("timestamptz"), "TIMESTAMP", None),
        (kind("uuid"), "STRING", None),
        (kind("mood", typtype="e"), "STRING", None),
        (kind("pair", typtype="c"), "JSON", None),
        (kind("_int4", is_array=True), "JSON", None),
        (kind("record", typtype="p"), "JSON", None),
    ],
)
def test_fields(type_: PostgresType, field: str, digits: tuple[int, int] | None) -> None:
    column = read_column("x", "c0", type_, FieldMode.REQUIRED, "told")
    found = column.staged.field
    assert not column.staged.is_open_decimal
    assert (found.type.value, found.mode, found.description) == (field, FieldMode.REQUIRED, "told")
    assert digits is None or (found.precision, found.scale) == digits


def test_a_decimal_without_precision_is_left_to_its_values() -> None:
    assert read_column("x", "c0", kind("numeric")).staged.is_open_decimal


@pytest.mark.parametrize(
    ("type_", "expression"),
    [
        (kind("int4"), "c0"),
        (kind("float4"), "c0::float8"),
        (kind("_text", is_array=True), "to_json(c0)"),
        (kind("bytea"), "replace(encode(c0, 'base64'), E'\\n', '')"),
    ],
)
def test_expressions(type_: PostgresType, expression: str) -> None:
    assert read_column("x", "c0", type_).expression == expression


def test_what_has_no_place_in_an_order() -> None:
    assert kind("date").ordinary("c0") == "isfinite(c0)"
    assert kind("numeric").ordinary("c0") == "c0 - c0 = 0"
    assert kind("int4").ordinary("c0") is None
    assert kind("timestamp").is_temporal
    assert not kind("timestamp", is_array=True).is_temporal
    assert [kind(name).is_number for name in ("oid", "money", "date")] == [True, False, False]
    assert [kind(name).can_mark_deletion for name in ("bool", "date", "text")] == [True, True, False]
