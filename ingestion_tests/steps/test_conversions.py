"""Conversions between field types: what passes, what becomes a reject, what is refused."""

from __future__ import annotations

import duckdb
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import duckdb_type
from ingestion.model.schema import FieldMode, FieldType, SchemaField
from ingestion.steps.conversions import convert, field_of


def converted(value: str, source: SchemaField, target: SchemaField) -> str | None:
    """The text of the converted value of the SQL literal, None for a value that does not convert."""
    expression = convert("x", source, target)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            f"SELECT CAST(CAST(({expression}) AS {duckdb_type(target)}) AS VARCHAR) "
            f"FROM (SELECT CAST({value} AS {duckdb_type(source)}) AS x)"
        ).fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


@pytest.mark.parametrize(
    ("source", "value", "target", "expected"),
    [
        ("STRING", "'12'", "INTEGER", "12"),
        ("STRING", "'1.5'", "INTEGER", None),
        ("STRING", "'1_000'", "INTEGER", None),
        ("STRING", "'1.234'", "NUMERIC(5,2)", None),
        ("STRING", "'1.20'", "NUMERIC(5,1)", "1.2"),
        ("STRING", "'2023-01-01T10:00:00+02:00'", "TIMESTAMP", "2023-01-01 08:00:00+00"),
        ("STRING", "'2023-01-01 10:00'", "DATE", None),
        ("STRING", "'{'", "JSON", None),
        ("FLOAT", "1.5", "INTEGER", None),
        ("FLOAT", "2.0", "INT64", "2"),
        ("FLOAT", "'nan'", "NUMERIC", None),
        ("FLOAT", "0.1", "NUMERIC", "0.100000000"),
        ("NUMERIC", "1.25", "NUMERIC(5,1)", None),
        ("NUMERIC", "7", "INTEGER", "7"),
        ("INTEGER", "7", "FLOAT64", "7.0"),
        ("INTEGER", "7", "STRING", "7"),
        ("INTEGER", "1", "BOOL", "true"),
        ("INTEGER", "2", "BOOLEAN", None),
        ("BOOLEAN", "true", "INTEGER", "1"),
        ("TIMESTAMP", "'2023-01-01 23:30:00-01:00'", "DATE", "2023-01-02"),
        ("TIMESTAMP", "'2023-01-01 23:30:00-01:00'", "DATETIME", "2023-01-02 00:30:00"),
        ("DATETIME", "'2023-01-01 10:00:00'", "TIMESTAMP", "2023-01-01 10:00:00+00"),
        ("DATE", "'2023-01-01'", "TIMESTAMP", "2023-01-01 00:00:00+00"),
        ("BYTES", "'abc'::BLOB", "STRING", "YWJj"),
        ("JSON", "'\"5\"'", "INTEGER", "5"),
        ("INTEGER", "5", "JSON", "5"),
    ],
)
def test_values_convert_exactly_or_not_at_all(source: str, value: str, target: str, expected: str | None) -> None:
    assert converted(value, field_of("x", source), field_of("x", target)) == expected


@pytest.mark.parametrize(("source", "target"), [("DATE", "INTEGER"), ("BOOLEAN", "DATE"), ("TIME", "TIMESTAMP")])
def test_pairs_without_a_meaning_are_refused(source: str, target: str) -> None:
    with pytest.raises(SchemaMismatch, match=f"from {source} to {target}"):
        convert("x", field_of("x", source), field_of("x", target))


def test_lists_become_text_or_json_only() -> None:
    several = SchemaField(name="x", type=FieldType.INTEGER, mode=FieldMode.REPEATED)
    assert converted("[1, 2]", several, field_of("x", "STRING")) == "[1,2]"
    with pytest.raises(SchemaMismatch):
        convert("x", several, field_of("x", "INTEGER"))


@pytest.mark.parametrize("name", ["TEXT", "RECORD", "NUMERIC(39,2)", "NUMERIC(2,3)", "NUMERIC(0)", ""])
def test_unknown_type_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"type a column|out of range"):
        field_of("x", name)
