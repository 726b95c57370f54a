"""How an execution ended: its times, its counts, and whether it has published."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ingestion.model.execution import Execution, ExecutionStatus
from ingestion.model.source import Source
from ingestion.orchestration.outcome import execution_metrics, settle_published
from ingestion.orchestration.services import Services
from ingestion.store import Store
from ingestion.warehouses.base import PublishResult, TargetTable
from ingestion_tests.orchestration.deployment import a_pipeline, accept

RESULT = PublishResult(loaded=5, quarantined=1, deduplicated=2, filtered=3, extracted=11, target_rows=50)


class LoadRecords:
    """A warehouse that has the load records of some executions."""

    def __init__(self, *executions: Execution) -> None:
        self._known = {execution.execution_id for execution in executions}
        self.asked: list[TargetTable] = []

    def published(self, execution_id: str, target: TargetTable) -> PublishResult | None:
        self.asked.append(target)
        return RESULT if execution_id in self._known else None


@pytest.fixture
def running(here: Services, source: Source) -> Execution:
    execution = accept(here.store, here.store.pipelines.add(a_pipeline(source, "sales")))
    assert here.store.executions.start(execution.execution_id, "run-1")
    return here.store.executions.get(execution.execution_id)


def settled(store: Store, execution: Execution, warehouse: Any) -> bool:
    return settle_published(store, warehouse, store.executions.get(execution.execution_id))


def test_times_are_those_of_the_tasks_and_the_total_is_since_acceptance(home_store: Store, running: Execution) -> None:
    start = running.start_time
    tasks = [
        task.model_copy(update={"start_time": begin, "end_time": end})
        for task, (begin, end) in zip(
            home_store.executions.all_tasks(running.execution_id),
            [
                (start + timedelta(seconds=1), start + timedelta(seconds=3.5)),
                (None, None),
                (start + timedelta(seconds=4), None),
                (start + timedelta(seconds=5), None),
            ],
            strict=True,
        )
    ]

    metrics = execution_metrics(running, tasks, RESULT, start + timedelta(seconds=6))

    assert metrics == {
        "extraction_time_seconds": 2.5,
        "transformation_time_seconds": 0.0,
        "loading_time_seconds": 2.0,
        "total_time_seconds": 6.0,
        "rows_extracted": 11,
        "rows_loaded": 5,
        "rows_quarantined": 1,
        "rows_deduplicated": 2,
        "rows_filtered": 3,
    }


def test_before_the_fence_the_warehouse_is_not_even_asked(home_store: Store, running: Execution) -> None:
    warehouse = LoadRecords(running)

    assert not settled(home_store, running, warehouse)
    assert warehouse.asked == []


def test_what_has_no_load_record_stays_as_it_is(home_store: Store, running: Execution) -> None:
    assert home_store.executions.claim_publish(running.execution_id)

    assert not settled(home_store, running, LoadRecords())
    assert home_store.executions.get(running.execution_id).status is ExecutionStatus.RUNNING


def test_a_load_record_is_a_success_in_the_table_of_its_revision(here: Services, running: Execution) -> None:
    moved = here.store.pipelines.get(running.pipeline_id).model_copy(update={"target_table": "elsewhere"})
    here.store.pipelines.update(moved, 1)
    assert here.store.executions.claim_publish(running.execution_id)
    warehouse = LoadRecords(running)

    assert settled(here.store, running, warehouse)

    ended = here.store.executions.get(running.execution_id)
    assert (ended.status, ended.records_processed) == (ExecutionStatus.SUCCESS, RESULT.loaded)
    assert warehouse.asked == [TargetTable("shop", "sales")]
    assert replace(RESULT, loaded=(ended.metrics or {})["rows_loaded"]) == RESULT
