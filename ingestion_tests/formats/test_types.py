"""Field types, DuckDB types and Arrow types say the same."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.formats.types import (
    arrow_type,
    decimal_digits,
    duckdb_type,
    field_of_duckdb,
    literal,
    numeric_field,
    quoted,
    type_label,
)
from ingestion.model.schema import FieldMode, FieldType, SchemaField

SCALARS = [kind for kind in FieldType if kind is not FieldType.RECORD]
DIGITS = st.integers(1, 38).flatmap(lambda precision: st.tuples(st.just(precision), st.integers(0, precision)))


def field(kind: FieldType, **more: object) -> SchemaField:
    return SchemaField.model_validate({"name": "x", "type": kind.value, **more})


def nested() -> SchemaField:
    parts = [field(kind, name=f'part "{kind.value}"') for kind in SCALARS]
    parts.append(field(FieldType.DATE, name="days", mode="REPEATED"))
    return field(FieldType.RECORD, mode="REPEATED", fields=[part.model_dump(exclude_none=True) for part in parts])


@pytest.mark.parametrize("kind", SCALARS)
def test_a_scalar_comes_back_from_duckdb(kind: FieldType) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (x {duckdb_type(field(kind))})")
        ((_, name, *_),) = connection.execute("DESCRIBE t").fetchall()
    told = field_of_duckdb("x", name, FieldMode.REQUIRED)
    assert (told.type, told.mode, duckdb_type(told)) == (kind, FieldMode.REQUIRED, duckdb_type(field(kind)))


@settings(max_examples=60, deadline=None)
@given(DIGITS)
def test_decimals_keep_their_digits(digits: tuple[int, int]) -> None:
    told = numeric_field("x", *digits)
    assert decimal_digits(told) == digits
    assert decimal_digits(field_of_duckdb("x", duckdb_type(told))) == digits
    assert (told.type is FieldType.NUMERIC) == (digits[1] <= 9 and digits[0] - digits[1] <= 29)
    assert (arrow_type(told).precision, arrow_type(told).scale) == digits


@pytest.mark.parametrize(
    "column", [*(field(kind) for kind in SCALARS), field(FieldType.DATE, mode="REPEATED"), nested()]
)
def test_arrow_and_duckdb_agree_through_parquet(tmp_path: Path, column: SchemaField) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": pa.array([None], arrow_type(column))}), path)
    with duckdb.connect() as connection:
        ((_, found, *_),) = connection.execute(f"DESCRIBE FROM read_parquet({literal(str(path))})").fetchall()
        connection.execute(f"CREATE TABLE t (x {duckdb_type(column)})")
        ((_, wanted, *_),) = connection.execute("DESCRIBE t").fetchall()
    assert found == re.sub(r"\bJSON(?=[,)\[]|$)", "VARCHAR", wanted)


def test_unknown_duckdb_types_are_text() -> None:
    assert field_of_duckdb("x", "INTERVAL").type is FieldType.STRING


@pytest.mark.parametrize(
    ("column", "label"),
    [
        (field(FieldType.NUMERIC, precision=10, scale=2), "NUMERIC(10, 2)"),
        (field(FieldType.NUMERIC, precision=10), "NUMERIC(10, 0)"),
        (field(FieldType.NUMERIC), "NUMERIC"),
        (field(FieldType.STRING, mode="REPEATED"), "ARRAY<STRING>"),
    ],
)
def test_labels(column: SchemaField, label: str) -> None:
    assert type_label(column) == label


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_names_and_texts_are_quoted_exactly(text: str) -> None:
    with duckdb.connect() as connection:
        result = connection.execute(f"SELECT {literal(text)} AS {quoted(text)}")
        assert result.fetchall() == [(text,)]
        assert result.description[0][0] == text
