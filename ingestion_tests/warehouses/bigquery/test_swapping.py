"""A swap that replaces the table, stopped at each point of it: its rows are never there without their record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import TargetFailed
from ingestion.model.load import WriteDisposition
from ingestion.model.quarantine import QuarantineSelection
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses.base import PublishRequest
from ingestion.warehouses.bigquery import swapping
from ingestion_tests.servers.bigquery import BigQueryServer
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.conftest import Place
from ingestion_tests.warehouses.loading import load, stage

OLD = table_schema(id="INTEGER", name="STRING")
NEW = table_schema(id="STRING")
OLD_ROWS: list[Mapping[str, Any]] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
TRUNCATE = WriteDisposition.WRITE_TRUNCATE


@pytest.mark.parametrize(
    ("stopped", "then"),
    [
        *(("announce", "publish"), ("replace", "publish"), ("replace", "published")),
        *(("complete", "publish"), ("complete", "published"), ("complete", "state")),
    ],
)
def test_a_stopped_swap_is_completed_or_has_done_nothing(
    stopped: str,
    then: str,
    bigquery: Place,
    bigquery_server: BigQueryServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warehouse, target = bigquery.warehouse, bigquery.target
    load(warehouse, tmp_path, "e1", OLD, OLD_ROWS, TRUNCATE, target=target, cursor=Cursor("id", "2"))
    stage(warehouse, tmp_path, "e2", NEW, [{"id": "x"}], target, [{"error_code": "BAD", "raw_row": "?"}])
    request = PublishRequest(
        "e2", "p", target, NEW, TRUNCATE, extracted=3, filtered=1, cursor=Cursor("id", "3"),
        cursor_before=Cursor("id", "2"), objects=[ObjectVersion("a", "1", 1)], forgets_objects=True,
    )  # fmt: skip

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # A publish begins by completing what was there before, which is nothing.
        patch.setattr(swapping, stopped, _after_the_first(killed) if stopped == "complete" else killed)
        with pytest.raises(KeyboardInterrupt):
            warehouse.publish(request)
    is_done = stopped == "complete"
    assert bigquery.rows("id") == ([("x",)] if is_done else [(1,), (2,)])

    if then == "published":
        found = warehouse.published("e2", target)
        assert (found is not None) is is_done
        if found is None:
            warehouse.discard("e2", target)
            assert bigquery.rows("id") == [(1,), (2,)]
            assert warehouse.state("p", target).cursor == Cursor("id", "2")
    elif then == "publish":
        warehouse.publish(request)
        warehouse.publish(request)
    result = None if then == "state" else warehouse.published("e2", target)
    if then != "published" or is_done:
        state = warehouse.state("p", target)
        assert (state.cursor, state.last_execution_id) == (Cursor("id", "3"), "e2")
        assert state.loaded_objects == frozenset(request.objects)
        result = result or warehouse.published("e2", target)
        assert result is not None
        assert (result.loaded, result.quarantined, result.filtered, result.extracted) == (1, 1, 1, 3)
        assert (result.target_rows, result.details["rows_before"], result.details["staged"]) == (1, 2, 1)
        assert warehouse.quarantined(target, QuarantineSelection("p"), 0, 10).total == 1
        assert bigquery.rows("count(*)", "_ingestion_loads") == [(2,)]
        assert bigquery.rows("id") == [("x",)]
    left = {table.table_id for table in bigquery_server.client.list_tables(target.dataset)}
    assert not {name for name in left if name.startswith("_ingestion_staging")}
    assert bigquery.rows("count(*)", "_ingestion_swaps") == [(0,)] if "_ingestion_swaps" in left else True


def _after_the_first(killed: Any) -> Any:
    calls: list[None] = []

    def complete(*_: Any) -> None:
        calls.append(None)
        if len(calls) > 1:
            killed()

    return complete


def test_a_swap_that_is_refused_changes_nothing(bigquery: Place, tmp_path: Path) -> None:
    warehouse, target = bigquery.warehouse, bigquery.target
    load(warehouse, tmp_path, "e1", OLD, OLD_ROWS, TRUNCATE, target=target)
    stage(warehouse, tmp_path, "e2", NEW, [{"id": "x"}], target)
    with pytest.raises(TargetFailed, match="do not add up: 2 extracted, but 1 loaded"):
        warehouse.publish(PublishRequest("e2", "p", target, NEW, TRUNCATE, extracted=2))
    assert warehouse.published("e2", target) is None
    assert bigquery.rows("id") == [(1,), (2,)]
