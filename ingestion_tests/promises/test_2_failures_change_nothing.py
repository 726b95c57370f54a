"""Promise 2: a failed, cancelled or empty extract never changes the target.

Data, cursor and load record become visible together or not at all.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import (
    Cancelled,
    EmptySource,
    IngestionError,
    QualityFailed,
    SchemaMismatch,
    TargetBusy,
    TargetFailed,
    TooManyBadRecords,
)
from ingestion.sources.base import Cursor
from ingestion.steps import publish
from ingestion.warehouses import bookkeeping
from ingestion_tests.steps.killed import BEFORE_COMMIT, POINTS, run_killed
from ingestion_tests.steps.workbench import Bench, Row, RowsConnector, ignore, prepare, table_schema, with_progress

SCHEMA = table_schema(id="INTEGER", name="STRING", updated="INTEGER")
BASE: Mapping[str, Any] = {"extraction_params": {"table": "t", "incremental_key": "updated"}}


def rows(count: int = 2, updated: int = 2) -> list[Row]:
    return [{"id": n, "name": "x", "updated": updated} for n in range(count)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A target with rows, a quarantine, a cursor and a load record."""
    made = Bench(tmp_path, BASE)
    made.run(RowsConnector(SCHEMA, {"": rows(updated=1)}, bad=1), "e1")
    return made


FAILURES: Mapping[str, tuple[type[IngestionError], Mapping[str, Any], RowsConnector]] = {
    "empty": (EmptySource, {"extraction_params": {"table": "t"}}, RowsConnector(SCHEMA, {"": []})),
    "all bad": (TooManyBadRecords, BASE, RowsConnector(SCHEMA, {"": []}, bad=3)),
    "too many do not convert": (
        TooManyBadRecords,
        {**BASE, "transformation_params": {"type_conversions": {"name": "INTEGER"}}},
        RowsConnector(SCHEMA, {"": rows()}),
    ),
    "an expression on no column": (
        SchemaMismatch,
        {**BASE, "transformation_params": {"calculated_fields": {"double": "nosuch * 2"}}},
        RowsConnector(SCHEMA, {"": rows()}),
    ),
    "a failing check": (
        QualityFailed,
        {**BASE, "quality_params": {"checks": [{"check": "expression", "expression": "id < 0"}]}},
        RowsConnector(SCHEMA, {"": rows()}),
    ),
    "another type": (
        SchemaMismatch,
        BASE,
        RowsConnector(
            table_schema(id="STRING", name="STRING", updated="INTEGER"),
            {"": [{"id": "one", "name": "x", "updated": 3}]},
        ),
    ),
    "a target that is not empty": (
        TargetFailed,
        {**BASE, "load_params": {"write_disposition": "WRITE_EMPTY"}},
        RowsConnector(SCHEMA, {"": rows()}),
    ),
    "a merge without a key": (
        SchemaMismatch,
        {**BASE, "load_params": {"write_disposition": "MERGE"}},
        RowsConnector(SCHEMA, {"": rows()}),
    ),
}


@pytest.mark.parametrize("failure", list(FAILURES))
def test_a_failed_execution_changes_nothing(bench: Bench, failure: str) -> None:
    error, configuration, connector = FAILURES[failure]
    before = bench.everything()
    bench.configuration = dict(configuration)
    with pytest.raises(error):
        bench.run(connector, "e2")
    assert bench.everything() == before
    assert bench.warehouse.published("e2", bench.target) is None


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_cancelled_execution_changes_nothing(bench: Bench, call: int) -> None:
    before = bench.everything()
    calls = 0

    def cancel(metrics: Mapping[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Cancelled("Execution cancelled by user")

    with pytest.raises(Cancelled):
        prepare(bench.context(RowsConnector(SCHEMA, {"": rows()}), "e2", progress=cancel))
    assert bench.everything() == before


def test_an_error_inside_the_publish_rolls_everything_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = bench.context(RowsConnector(SCHEMA, {"": rows()}, bad=1), "e2")
    prepare(ctx)
    before = bench.everything()
    original: Callable[..., None] = bookkeeping.move_cursor

    def failing(*arguments: Any) -> None:
        original(*arguments)
        raise TargetFailed("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(bookkeeping, "move_cursor", failing)
        with pytest.raises(TargetFailed, match="disk is gone"):
            publish(ctx)
    assert bench.everything() == before
    assert publish(ctx).loaded == 2


def test_a_cursor_that_moved_meanwhile_stops_the_publish(bench: Bench) -> None:
    slow = bench.context(RowsConnector(SCHEMA, {"": rows(updated=3)}), "slow")
    prepare(slow)
    bench.run(RowsConnector(SCHEMA, {"": rows(updated=5)}), "fast")
    before = bench.everything()
    with pytest.raises(TargetFailed, match="moved from 1 to 5"):
        publish(slow)
    assert bench.everything() == before


@pytest.mark.parametrize("point", list(POINTS))
def test_a_kill_leaves_all_or_nothing(bench: Bench, tmp_path: Path, point: str) -> None:
    before = bench.everything()
    run_killed(tmp_path, BASE, rows(3, updated=7), "e2", point)
    after = bench.everything()
    if point in BEFORE_COMMIT:
        assert after == before
        assert bench.state().cursor == Cursor("updated", "1")
        assert bench.warehouse.published("e2", bench.target) is None
    else:
        assert len(after["target"]) == len(before["target"]) + 3
        assert bench.state().cursor == Cursor("updated", "7")
        result = bench.warehouse.published("e2", bench.target)
        assert result is not None
        assert result.loaded == 3


def test_a_kill_of_the_very_first_load_leaves_no_table(tmp_path: Path) -> None:
    run_killed(tmp_path, BASE, rows(), "e1", "before the commit")
    bench = Bench(tmp_path, BASE)
    state = bench.state()
    assert (state.schema, state.row_count, state.cursor) == (None, 0, None)


def test_another_process_in_the_file_is_waited_for_and_then_named(bench: Bench) -> None:
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(bench.warehouse.path("ds"))]
    before = bench.everything()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        bench.warehouse._wait_seconds = 0.3
        started = time.monotonic()
        with pytest.raises(TargetBusy, match=f"process {holder.pid}"):
            bench.run(RowsConnector(SCHEMA, {"": rows()}), "e2")
        assert time.monotonic() - started < 10
        holder.communicate("")
    assert bench.everything() == before
    ctx = with_progress(bench.context(RowsConnector(SCHEMA, {"": rows()}), "e3"), ignore)
    prepare(ctx)
    assert publish(ctx).loaded == 2
