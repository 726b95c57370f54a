"""Every leaf of a nested JSON value fits exactly or not at all."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import SchemaMismatch
from ingestion.formats.nested import Misfit, checked_token, is_nested, require_readable
from ingestion.model.schema import SchemaField


def field(kind: str, **more: Any) -> SchemaField:
    return SchemaField.model_validate({"name": "x", "type": kind, **more})


@pytest.mark.parametrize(
    ("kind", "token", "text"),
    [
        ("STRING", "1.10", "1.10"),
        ("STRING", '"é"', "é"),
        ("INTEGER", "9223372036854775807", "9223372036854775807"),
        ("INTEGER", '"1.0"', "1.0"),
        ("INTEGER", "1e3", "1000"),
        ("FLOAT", "0.1", "0.1"),
        ("FLOAT", "1e-400", "0.0"),
        ("NUMERIC", "1.123456789", "1.123456789"),
        ("NUMERIC", "1.1234567890", "1.1234567890"),
        ("NUMERIC", "0e99", "0"),
        ("DATE", '"2024-02-29"', "2024-02-29"),
        ("TIME", '"10:00:00.5"', "10:00:00.500000"),
        ("DATETIME", '"2024-01-01 10:00:00"', "2024-01-01T10:00:00"),
        ("TIMESTAMP", '"2024-01-01T10:00:00"', "2024-01-01T10:00:00+00:00"),
        ("TIMESTAMP", '"2024-01-01T10:00:00,5+02:00"', "2024-01-01T10:00:00.500000+02:00"),
    ],
)
def test_leaves_that_fit(kind: str, token: str, text: str) -> None:
    assert checked_token(token, field(kind)) == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        ("STRING", "true"),
        ("STRING", "[1]"),
        ("INTEGER", "1.5"),
        ("INTEGER", "9223372036854775808"),
        ("INTEGER", '"1_000"'),
        ("INTEGER", '"\\uff11"'),
        ("INTEGER", '" 1"'),
        ("INTEGER", '"0x1"'),
        ("INTEGER", "1e999999999"),
        ("FLOAT", "1e400"),
        ("FLOAT", '"NaN"'),
        ("NUMERIC", "1.0000000001"),
        ("NUMERIC", "1e29"),
        ("BOOLEAN", "1"),
        ("DATE", '"2023-02-29"'),
        ("DATE", "20240101.5"),
        ("TIME", '"10:00:00Z"'),
        ("DATETIME", '"2024-01-01T10:00:00Z"'),
        ("TIMESTAMP", '"2024-01-01T10:00:00.1234567Z"'),
        ("TIMESTAMP", '"2024-01-01T10:00:00,1234567Z"'),
    ],
)
def test_leaves_that_do_not(kind: str, token: str) -> None:
    found = checked_token(token, field(kind))
    assert isinstance(found, Misfit)
    assert (found.path, found.expected) == ("x", kind)


@settings(max_examples=100, deadline=None)
@given(digits=st.text("0123456789", min_size=1, max_size=45), point=st.integers(0, 45), scale=st.integers(0, 38))
def test_a_decimal_is_never_rounded(digits: str, point: int, scale: int) -> None:
    token = f"{digits[:point].lstrip('0') or '0'}.{digits[point:] or '0'}"
    found = checked_token(token, field("BIGNUMERIC", precision=38, scale=scale))
    with localcontext() as context:
        context.prec = 200
        fits = Decimal(token) == round(Decimal(token), scale) and Decimal(token) < Decimal(10) ** (38 - scale)
    assert isinstance(found, str) == fits
    if isinstance(found, str):
        assert Decimal(json.loads(found)) == Decimal(token)


RECORD = field(
    "RECORD",
    fields=[
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    ],
)


def test_records_have_all_their_fields() -> None:
    assert checked_token('{"tags": ["a", 1], "id": 5}', RECORD) == '{"id": "5", "tags": ["a", "1"]}'
    assert checked_token('{"id": 5}', RECORD) == '{"id": "5", "tags": null}'
    assert checked_token("null", RECORD) == "null"


@pytest.mark.parametrize(
    ("token", "path", "expected"),
    [
        ("{}", "x.id", "INTEGER REQUIRED"),
        ('{"id": 1, "tags": "a"}', "x.tags", "ARRAY<STRING>"),
        ('{"id": 1, "tags": ["a", {}]}', "x.tags[1]", "STRING"),
        ('{"id": 1, "ID": 2}', "x.ID", "no such field"),
        ("[]", "x", "RECORD"),
    ],
)
def test_a_misfit_has_its_path(token: str, path: str, expected: str) -> None:
    found = checked_token(token, RECORD)
    assert isinstance(found, Misfit)
    assert (found.path, found.expected) == (path, expected)


def test_what_cannot_be_read_exactly_inside_another_is_refused() -> None:
    require_readable(field("BYTES"))
    require_readable(RECORD)
    for declared in (field("JSON", mode="REPEATED"), field("RECORD", fields=[{"name": "b", "type": "BYTES"}])):
        assert is_nested(declared)
        with pytest.raises(SchemaMismatch, match="inside another"):
            require_readable(declared)
    assert not is_nested(field("JSON"))
