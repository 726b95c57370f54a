"""SCD2: versions are closed and added in one transaction, and nothing happens when nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.model.load import HistoryColumns, WriteDisposition
from ingestion.warehouses.base import PublishResult
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.loading import load

SCHEMA = table_schema(id="INTEGER", name="STRING", at="INTEGER", gone="BOOLEAN")
START = datetime(2024, 1, 1, tzinfo=UTC)
HISTORY = HistoryColumns()
Rows = Sequence[tuple[int | None, str | None, int, bool]]


class History:
    """A table with history, loaded once a day."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = DuckDBWarehouse(folder / "warehouse", wait_seconds=5)
        self._folder = folder / "files"
        self.day = 0

    def load(self, rows: Rows, **how: Any) -> PublishResult:
        self.day += 1
        given = [dict(zip(SCHEMA.names, row, strict=True)) for row in rows]
        usual: dict[str, Any] = {
            "key": ("id",),
            "latest_by": "at",
            "deleted_by": "gone",
            "history": HISTORY,
            "as_of": START + timedelta(days=self.day),
        }
        name = f"e{self.day}"
        return load(self.warehouse, self._folder, name, SCHEMA, given, WriteDisposition.SCD2, **(usual | how))

    def versions(self) -> list[tuple[Any, ...]]:
        """id, name, first and last day, whether it is the current one."""
        with duckdb.connect(str(self.warehouse.path("ds")), read_only=True) as connection:
            found = connection.execute(
                "SELECT id, name, valid_from, valid_to, is_current FROM orders ORDER BY id, valid_from"
            ).fetchall()
        return [(*row[:2], day_of(row[2]), day_of(row[3]), row[4]) for row in found]


def day_of(at: datetime | None) -> int | None:
    return None if at is None else (at - START).days


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def counts(result: PublishResult) -> Mapping[str, int]:
    names = ("loaded", "deduplicated", "filtered", "quarantined")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def test_changed_rows_close_the_old_version_and_add_a_new_one(history: History) -> None:
    history.load([(1, "a", 1, False), (2, "b", 1, False), (3, "c", 1, False)])
    result = history.load([(1, "A", 2, False), (2, "b", 1, False), (3, "c", 2, True), (4, "d", 2, True)])
    assert counts(result) == {"loaded": 1, "deduplicated": 1, "filtered": 2}
    assert {name: result.details[name] for name in ("closed", "updated", "deleted", "unchanged")} == {
        "closed": 2, "updated": 1, "deleted": 1, "unchanged": 1,
    }  # fmt: skip
    assert history.versions() == [
        (1, "a", 1, 2, False), (1, "A", 2, None, True), (2, "b", 1, None, True), (3, "c", 1, 2, False),
    ]  # fmt: skip


def test_the_same_rows_again_change_nothing_and_deleted_ones_come_back(history: History) -> None:
    rows: Rows = [(1, "a", 1, False), (2, "b", 1, False)]
    history.load(rows)
    before = history.versions()
    assert counts(history.load(rows)) == {"deduplicated": 2}
    assert history.versions() == before
    history.load([(1, "a", 2, True)])
    assert counts(history.load([(1, "a", 2, True)])) == {"filtered": 1}
    history.load([(1, "a", 3, False)])
    assert history.versions()[:2] == [(1, "a", 1, 3, False), (1, "a", 5, None, True)]


def test_late_duplicates_of_a_batch_make_one_version(history: History) -> None:
    rows: Rows = [(1, "old", 1, False), (1, "new", 2, False), (1, "new", 2, False), (2, "x", 1, False),
                  (2, "y", 1, False), (None, "n", 1, False)]  # fmt: skip
    result = history.load(rows)
    assert counts(result) == {"loaded": 1, "deduplicated": 2, "quarantined": 3}
    assert history.versions() == [(1, "new", 1, None, True)]
    assert counts(history.load(rows)) == {"deduplicated": 3, "quarantined": 3}


def test_keys_that_a_whole_read_does_not_have_are_closed_when_asked(history: History) -> None:
    history.load([(1, "a", 1, False), (2, "b", 1, False)])
    assert "closed" in history.load([(1, "a", 1, False)]).details
    assert [row[4] for row in history.versions()] == [True, True]
    result = history.load([(1, "a", 1, False)], close_absent=True)
    assert (result.details["closed"], result.details["deleted"]) == (1, 1)
    assert history.versions() == [(1, "a", 1, None, True), (2, "b", 1, 3, False)]


def test_a_clock_that_went_back_does_not_turn_a_version_around(history: History) -> None:
    history.load([(1, "a", 1, False)])
    history.load([(1, "b", 2, False)], as_of=START)
    assert history.versions() == [(1, "a", 1, 1, False), (1, "b", 1, None, True)]


def test_a_table_without_history_and_rows_with_such_columns_are_refused(history: History, tmp_path: Path) -> None:
    load(history.warehouse, tmp_path / "f", "e0", SCHEMA, [])
    with pytest.raises(SchemaMismatch, match="no column valid_from of type TIMESTAMP, so it holds no history"):
        history.load([(1, "a", 1, False)])
    with pytest.raises(SchemaMismatch, match=r"columns named Name, which SCD2 adds .*history_columns"):
        history.load([(1, "a", 1, False)], history=HistoryColumns(is_current="Name"))
