"""The publish transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import TargetFailed, TooManyBadRecords
from ingestion.model.load import WriteDisposition
from ingestion.sources.base import Cursor
from ingestion.warehouses import publishing
from ingestion.warehouses.base import PublishRequest
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.loading import TARGET, load, stage

SCHEMA = table_schema(id="INTEGER", s="STRING")
ROWS: list[Mapping[str, Any]] = [{"id": 1, "s": "a"}, {"id": 2, "s": "b"}]
APPEND, MERGE = WriteDisposition.WRITE_APPEND, WriteDisposition.MERGE


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "warehouse", wait_seconds=5)


def query(warehouse: DuckDBWarehouse, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse.path("ds"))) as connection:
        return connection.execute(statement).fetchall()


def test_a_second_publish_answers_the_first_result(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    first = load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS, APPEND)
    request = PublishRequest("e1", "p", TARGET, SCHEMA, APPEND, extracted=99)
    assert warehouse.publish(request) == first
    assert query(warehouse, "SELECT count(*) FROM orders") == [(2,)]


def test_a_failed_commit_leaves_nothing(
    warehouse: DuckDBWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS)
    stage(warehouse, tmp_path / "f", "e2", SCHEMA, ROWS)
    request = PublishRequest("e2", "p", TARGET, SCHEMA, APPEND, cursor=Cursor("id", "2"), extracted=2)

    def interrupted(connection: duckdb.DuckDBPyConnection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            warehouse.publish(request)
    assert query(warehouse, "SELECT count(*) FROM orders") == [(2,)]
    assert warehouse.published("e2", TARGET) is None
    assert warehouse.state("p", TARGET).cursor is None
    assert warehouse.publish(request).target_rows == 4


def test_rows_of_a_cursor_that_moved_meanwhile_are_refused(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    load(warehouse, tmp_path / "f", "e1", SCHEMA, ROWS, APPEND, cursor=Cursor("id", "2"))
    stale: dict[str, Any] = {"cursor": Cursor("id", "3"), "cursor_before": Cursor("id", "1")}
    with pytest.raises(TargetFailed, match="moved from 1 to 2"):
        load(warehouse, tmp_path / "f", "e2", SCHEMA, ROWS, APPEND, **stale)
    fresh: dict[str, Any] = {"cursor": Cursor("id", "3"), "cursor_before": Cursor("id", "2")}
    assert load(warehouse, tmp_path / "f", "e3", SCHEMA, ROWS, APPEND, **fresh).loaded == 2
    other = load(warehouse, tmp_path / "f", "e4", SCHEMA, ROWS, APPEND, cursor=Cursor("s", "b"))
    assert other.target_rows == 6


def test_undecidable_rows_are_quarantined_whole(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    """The column `s` must not be taken for the row."""
    rows: list[Mapping[str, Any]] = [
        {"id": 1, "s": "x"},
        {"id": 1, "s": "y"},
        {"id": None, "s": "z"},
        {"id": 3, "s": "w"},
    ]
    result = load(warehouse, tmp_path / "f", "e1", SCHEMA, rows, MERGE, key=("id",))
    assert (result.loaded, result.quarantined) == (1, 3)
    found = query(warehouse, "SELECT position, error_code, column_name, got, raw_row FROM Orders__quarantine")
    assert sorted((*row[:4], json.loads(row[4])) for row in found) == [
        ("row 1", "AMBIGUOUS_KEY", "id", "1", rows[0]),
        ("row 2", "AMBIGUOUS_KEY", "id", "1", rows[1]),
        ("row 3", "NULL_KEY", "id", "", rows[2]),
    ]


def test_too_many_bad_rows_stop_the_publish(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    rows: list[Mapping[str, Any]] = [{"id": None, "s": "z"}, {"id": 3, "s": "w"}]
    with pytest.raises(
        TooManyBadRecords, match="1 of 2 rows are bad, at most 0 are allowed: 1 NULL_KEY in id, such as row"
    ):
        load(warehouse, tmp_path / "f", "e1", SCHEMA, rows, MERGE, key=("id",), bad_record_limit=0)
    assert warehouse.state("p", TARGET).schema is None


def test_a_load_without_rows_is_on_record_and_touches_nothing(warehouse: DuckDBWarehouse) -> None:
    result = warehouse.publish(PublishRequest("e1", "p", TARGET, SCHEMA, APPEND))
    assert (result.loaded, result.target_rows) == (0, 0)
    assert warehouse.published("e1", TARGET) == result
    assert warehouse.state("p", TARGET).schema is None
