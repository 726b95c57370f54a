"""The greatest value that was read, as such and not as text."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sources.base import Cursor
from ingestion.sources.cursors import greatest


def staged(tmp_path: Path, *parts: pa.Array) -> list[Path]:
    paths = []
    for number, part in enumerate(parts):
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"Key": part}), paths[-1])
    return paths


def schema(kind: FieldType, mode: FieldMode = FieldMode.NULLABLE) -> TableSchema:
    return TableSchema(fields=(SchemaField(name="Key", type=kind, mode=mode),))


@pytest.mark.parametrize(
    ("kind", "values", "before", "expected"),
    [
        (FieldType.INTEGER, [9, 10, None], "2", "10"),
        (FieldType.INTEGER, [9, 10], "100", "100"),
        (FieldType.FLOAT, [9.5, float("nan")], None, "9.5"),
        (FieldType.NUMERIC, [Decimal("9.10"), Decimal("10.20")], "9.9", "10.20"),
        (FieldType.STRING, ["b", "a"], None, "b"),
        (FieldType.DATE, [date(2026, 1, 2)], "2026-01-01", "2026-01-02"),
        (FieldType.DATETIME, [datetime(2026, 1, 2, 3)], None, "2026-01-02T03:00:00.000000"),
        (
            FieldType.TIMESTAMP,
            [datetime(2026, 1, 2, 3, tzinfo=UTC)],
            "2026-01-02T02:59:00Z",
            "2026-01-02T03:00:00.000000Z",
        ),
        (FieldType.INTEGER, [None, None], "2", "2"),
    ],
)
def test_the_greatest_value(
    tmp_path: Path, kind: FieldType, values: list[Any], before: str | None, expected: str
) -> None:
    array = pa.array(values, pa.int64()) if kind is FieldType.INTEGER else pa.array(values)
    known = Cursor("key", before) if before else None
    assert greatest(staged(tmp_path, array[:1], array), schema(kind), "key", known) == Cursor("key", expected)


def test_without_rows_the_cursor_stays(tmp_path: Path) -> None:
    assert greatest([], schema(FieldType.INTEGER), "key", Cursor("key", "5")) == Cursor("key", "5")
    assert greatest(staged(tmp_path, pa.array([None], pa.int64())), schema(FieldType.INTEGER), "key", None) is None


@pytest.mark.parametrize(
    ("columns", "key", "message"),
    [
        (schema(FieldType.INTEGER), "other", "names other, but the columns are Key"),
        (schema(FieldType.BOOLEAN), "key", "no order"),
        (schema(FieldType.INTEGER, FieldMode.REPEATED), "key", "no order"),
    ],
)
def test_columns_that_cannot_be_followed(tmp_path: Path, columns: TableSchema, key: str, message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        greatest(staged(tmp_path, pa.array([1])), columns, key, None)
