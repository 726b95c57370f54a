"""Sample rows as JSON-ready data."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.formats.samples import json_ready, sample_rows
from ingestion.model.schema import FieldType, SchemaField, TableSchema


def field(kind: str, **more: Any) -> SchemaField:
    return SchemaField.model_validate({"name": "x", "type": kind, **more})


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("INTEGER", 2**62, 2**62),
        ("NUMERIC", Decimal("1.10"), 1.1),
        ("NUMERIC", Decimal("12345678901234567.89"), "12345678901234567.89"),
        ("FLOAT", float("inf"), "inf"),
        ("BYTES", b"\x00\xff", "AP8="),
        ("DATE", date(2024, 2, 29), "2024-02-29"),
        ("TIME", time(1, 2, 3), "01:02:03"),
        ("DATETIME", datetime(2024, 1, 1), "2024-01-01T00:00:00"),
        ("TIMESTAMP", datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00Z"),
        ("JSON", '{"a": [1.5, null]}', {"a": [1.5, None]}),
        ("JSON", '{"a": 12345678901234567.891, "b": 1e400}', {"a": "12345678901234567.891", "b": "1E+400"}),
        ("STRING", None, None),
    ],
)
def test_values(kind: str, value: Any, shown: Any) -> None:
    found = json_ready(value, field(kind))
    assert found == shown
    assert json.loads(json.dumps(found, allow_nan=False)) == shown


def test_nested_values() -> None:
    column = field("RECORD", mode="REPEATED", fields=[{"name": "d", "type": "DATE", "mode": "REPEATED"}])
    assert json_ready([{"d": [date(2024, 1, 1)]}, {"d": None}], column) == [{"d": ["2024-01-01"]}, {"d": None}]


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [1]), (3, [1, 2, 3]), (9, [1, 2, 3, 4])])
def test_rows_come_from_as_many_files_as_needed(tmp_path: Path, count: int, expected: list[int]) -> None:
    paths = []
    for number, values in enumerate([[1, 2], [], [3, 4]]):
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"x": pa.array(values, pa.int64())}), paths[-1])
    schema = TableSchema(fields=(SchemaField(name="x", type=FieldType.INTEGER),))
    assert [row["x"] for row in sample_rows(paths, schema, count)] == expected


def test_dates_beyond_pythons_calendar_are_text(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": pa.array([253402300800_000_000, 0], pa.timestamp("us"))}), path)
    schema = TableSchema(fields=(SchemaField(name="x", type=FieldType.DATETIME),))
    rows = sample_rows([path], schema, 2)
    assert [str(row["x"])[:6] for row in rows] == ["10000-", "1970-0"]
