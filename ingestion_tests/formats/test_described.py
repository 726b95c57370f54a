"""Schemas told by DuckDB, nested columns included."""

from __future__ import annotations

import duckdb
import pytest

from ingestion.formats.described import field_from_duckdb, schema_from_duckdb
from ingestion.formats.types import duckdb_type
from ingestion.model.schema import FieldMode, FieldType


def test_a_table_is_described_as_it_was_made() -> None:
    columns = {
        "a": "BIGINT",
        "d": "DECIMAL(10,2)",
        "j": "JSON",
        "z": "TIMESTAMP WITH TIME ZONE",
        "l": "VARCHAR[]",
        "s": 'STRUCT("odd ""name""" DATE, items STRUCT(n BIGINT, tags VARCHAR[])[], j JSON)',
    }
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        rows = connection.execute("DESCRIBE t").fetchall()
        schema = schema_from_duckdb(rows)
        again = ", ".join(f"{column.name} {duckdb_type(column)}" for column in schema.fields)
        connection.execute(f"CREATE TABLE again ({again})")
        assert connection.execute("DESCRIBE again").fetchall() == rows
    items = (schema.get("s") or schema.fields[0]).fields or ()
    assert [(part.name, part.type, part.mode) for part in items] == [
        ('odd "name"', FieldType.DATE, FieldMode.NULLABLE),
        ("items", FieldType.RECORD, FieldMode.REPEATED),
        ("j", FieldType.JSON, FieldMode.NULLABLE),
    ]


@pytest.mark.parametrize(("kind", "digits"), [("HUGEINT", 38), ("UBIGINT", 20)])
def test_wide_whole_numbers_are_numeric(kind: str, digits: int) -> None:
    column = field_from_duckdb("x", kind)
    assert (column.precision, column.scale) == (digits, 0)


@pytest.mark.parametrize("kind", ["MAP(INTEGER, INTEGER)", "UNION(a INTEGER)", "INTEGER[][]"])
def test_what_bigquery_does_not_have_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="the column 'x'"):
        field_from_duckdb("x", kind)
