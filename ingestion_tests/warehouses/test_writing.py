"""Write dispositions, their counts, and columns of any name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.model.load import PartitionType, WriteDisposition
from ingestion.warehouses.base import TableLayout, TargetTable
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.loading import TARGET, load

OTHER = TargetTable("ds", "others")
MERGE, APPEND = WriteDisposition.MERGE, WriteDisposition.WRITE_APPEND


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "warehouse", wait_seconds=5)


def query(warehouse: DuckDBWarehouse, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.path("ds"))) as connection:
        return connection.execute(statement).fetchall()


MARKS: list[tuple[str, Any, Any]] = [
    ("BOOLEAN", True, False), ("INTEGER", 2, 0), ("FLOAT", 0.5, 0.0),
    ("TIMESTAMP", "2024-01-01T00:00:00Z", None), ("DATE", "2024-01-01", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "marked", "unmarked"), MARKS, ids=[mark[0] for mark in MARKS])
def test_a_merge_deletes_what_is_marked(
    warehouse: DuckDBWarehouse, tmp_path: Path, kind: str, marked: Any, unmarked: Any
) -> None:
    plain, schema = table_schema(id="INTEGER", gone="STRING"), table_schema(id="INTEGER", gone=kind)
    load(warehouse, tmp_path / "f", "e0", plain, [])
    query(warehouse, f"ALTER TABLE orders ALTER gone TYPE {'TIMESTAMPTZ' if kind == 'TIMESTAMP' else _duckdb(kind)}")
    query(warehouse, "INSERT INTO orders VALUES (1, NULL), (2, NULL), (2, NULL), (3, NULL)")
    text = [(1, unmarked), (2, marked), (4, marked), (5, unmarked)]
    result = _load_text(warehouse, tmp_path, schema, text, deleted_by="gone")
    assert (result.loaded, result.filtered, result.target_rows) == (2, 2, 3)
    assert (result.details["updated"], result.details["deleted"]) == (1, 2)
    assert query(warehouse, "SELECT id FROM orders ORDER BY id") == [(1,), (3,), (5,)]
    kept = _load_text(warehouse, tmp_path, schema, text, "e2")
    assert (kept.loaded, kept.filtered, kept.target_rows) == (4, 0, 5)


def _duckdb(kind: str) -> str:
    return {"BOOLEAN": "BOOLEAN", "INTEGER": "BIGINT", "FLOAT": "DOUBLE", "DATE": "DATE"}[kind]


def _load_text(
    warehouse: DuckDBWarehouse, folder: Path, schema: Any, rows: Any, execution_id: str = "e1", **how: Any
) -> Any:
    def value(given: Any) -> Any:
        if isinstance(given, str):
            return date.fromisoformat(given) if len(given) == 10 else datetime.fromisoformat(given)
        return given

    listed = [{"id": key, "gone": value(mark)} for key, mark in rows]
    return load(warehouse, folder / "f", execution_id, schema, listed, MERGE, key=("id",), **how)


def test_a_text_cannot_mark_deleted_rows(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    schema = table_schema(id="INTEGER", gone="STRING")
    with pytest.raises(SchemaMismatch, match="gone is STRING and cannot mark deleted rows"):
        load(warehouse, tmp_path / "f", "e", schema, [{"id": 1, "gone": "Y"}], MERGE, key=("id",), deleted_by="gone")
    with pytest.raises(SchemaMismatch, match="nosuch, which marks deleted rows"):
        load(warehouse, tmp_path / "f", "e", schema, [{"id": 1, "gone": "Y"}], MERGE, key=("id",), deleted_by="nosuch")


@pytest.mark.parametrize("name", ["rowid", "RowID"])
def test_a_column_that_hides_the_row_numbers_is_like_any_other(
    warehouse: DuckDBWarehouse, tmp_path: Path, name: str
) -> None:
    schema = table_schema(**{name: "INTEGER", "v": "STRING"})
    rows: list[Mapping[str, Any]] = [{name: 1, "v": "a"}, {name: 2, "v": "b"}, {name: None, "v": "c"}]
    first = load(warehouse, tmp_path / "f", "e1", schema, rows, MERGE, key=(name,))
    assert (first.loaded, first.quarantined) == (2, 1)
    again = load(warehouse, tmp_path / "f", "e2", schema, rows, APPEND, skip_present=True)
    assert (again.loaded, again.deduplicated) == (1, 2)
    assert query(warehouse, "SELECT position FROM orders__quarantine") == [("row 3",)]
    none = load(warehouse, tmp_path / "f", "e3", schema, [], MERGE, key=(name,))
    assert none.target_rows == 3


def test_an_empty_table_is_filled_once(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    schema = table_schema(id="INTEGER")
    load(warehouse, tmp_path / "f", "e1", schema, [{"id": 1}], WriteDisposition.WRITE_EMPTY)
    with pytest.raises(TargetFailed, match=r"WRITE_EMPTY needs an empty table, but ds\.Orders has 1 rows"):
        load(warehouse, tmp_path / "f", "e2", schema, [{"id": 2}], WriteDisposition.WRITE_EMPTY)
    assert query(warehouse, "FROM orders") == [(1,)]


def test_a_column_the_rows_lack_may_be_null_from_then_on(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e0", table_schema(id="INTEGER"), [], target=OTHER)
    query(warehouse, "CREATE TABLE orders (id BIGINT NOT NULL, name VARCHAR NOT NULL, n BIGINT NOT NULL DEFAULT 7)")
    load(warehouse, tmp_path / "f", "e1", table_schema(id="INTEGER"), [{"id": 1}], APPEND)
    assert query(warehouse, "FROM orders") == [(1, None, 7)]


def test_the_layout_orders_rows_and_is_on_record(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    schema = table_schema(day="INTEGER", shop="STRING")
    rows: list[Mapping[str, Any]] = [{"day": 2, "shop": "b"}, {"day": 1, "shop": "b"}, {"day": 3, "shop": "a"}]
    layout = TableLayout("day", PartitionType.MONTH, ("shop",))
    result = load(warehouse, tmp_path / "f", "e1", schema, rows, APPEND, layout=layout)
    assert query(warehouse, "SELECT shop, day FROM orders") == [("a", 3), ("b", 2), ("b", 1)]
    assert result.details["partition_type"] == "MONTH"
    assert warehouse.published("e1", TARGET) == result
