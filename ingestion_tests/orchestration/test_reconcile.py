"""What becomes of an execution, given its run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from ingestion.model.execution import Execution, ExecutionStatus
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.orchestration.dagster_api import RunStatus, RunView
from ingestion.orchestration.reconcile import LAUNCH_GRACE, Verdict, reconcile, verdict
from ingestion.orchestration.services import Services
from ingestion.store import Store
from ingestion.warehouses.base import PublishResult
from ingestion_tests.orchestration.deployment import a_pipeline, accept

NOW = timedelta(0)


@dataclass
class LoadRecords:
    """A warehouse of which only the load record of one execution is known."""

    result: PublishResult | None = None

    def published(self, execution_id: str, target: Any) -> PublishResult | None:
        return self.result


@pytest.fixture
def pipeline(here: Services, source: Source) -> Pipeline:
    return here.store.pipelines.add(a_pipeline(source, "sales"))


@pytest.fixture
def running(home_store: Store, pipeline: Pipeline) -> Execution:
    execution = accept(home_store, pipeline)
    assert home_store.executions.start(execution.execution_id, "run-1")
    home_store.executions.start_task(execution.execution_id, "extract_from_gcs", {})
    return home_store.executions.get(execution.execution_id)


def a_run(status: RunStatus) -> RunView:
    return RunView("run-1", status, "job", None, {}, None, None, [])


def reconciled(
    store: Store, execution: Execution, run: RunView | None, result: PublishResult | None = None
) -> Execution:
    warehouse: Any = LoadRecords(result)
    return reconcile(store, warehouse, execution, run)


def error_of(execution: Execution) -> tuple[str, str | None]:
    assert execution.status is ExecutionStatus.FAILED
    assert execution.error_details is not None
    return execution.error_details.error_code, execution.error_details.task_id


@pytest.mark.parametrize(
    "status", [RunStatus.QUEUED, RunStatus.NOT_STARTED, RunStatus.STARTING, RunStatus.STARTED, RunStatus.CANCELING]
)
def test_a_live_run_is_left_alone(home_store: Store, running: Execution, status: RunStatus) -> None:
    assert verdict(running, a_run(status), NOW) is Verdict.KEEP
    assert reconciled(home_store, running, a_run(status)) == running


def test_an_execution_without_a_run_is_launched_after_a_grace(home_store: Store, pipeline: Pipeline) -> None:
    pending = accept(home_store, pipeline)
    queued = accept(home_store, pipeline, queue_if_busy=True)

    assert verdict(pending, None, LAUNCH_GRACE / 2) is Verdict.KEEP
    assert verdict(pending, None, LAUNCH_GRACE) is Verdict.LAUNCH
    assert verdict(queued, None, LAUNCH_GRACE) is Verdict.KEEP


def test_a_failed_run_is_a_lost_worker(home_store: Store, running: Execution) -> None:
    ended = reconciled(home_store, running, a_run(RunStatus.FAILURE))

    assert error_of(ended) == ("WORKER_LOST", "extract_from_gcs")


def test_a_missing_run_is_a_lost_worker(home_store: Store, running: Execution) -> None:
    assert error_of(reconciled(home_store, running, None)) == ("WORKER_LOST", "extract_from_gcs")


def test_a_terminated_run_is_a_cancelled_execution(home_store: Store, running: Execution) -> None:
    ended = reconciled(home_store, running, a_run(RunStatus.CANCELED))

    assert error_of(ended)[0] == "CANCELLED"
    assert ended.error_details is not None
    assert ended.error_details.error_message == "Execution cancelled by user"


def test_a_run_of_some_steps_only_has_not_loaded(home_store: Store, running: Execution) -> None:
    assert error_of(reconciled(home_store, running, a_run(RunStatus.SUCCESS)))[0] == "INTERNAL_ERROR"


@pytest.mark.parametrize("status", [RunStatus.FAILURE, RunStatus.CANCELED, RunStatus.SUCCESS, None])
def test_what_was_published_is_a_success(home_store: Store, running: Execution, status: RunStatus | None) -> None:
    assert home_store.executions.claim_publish(running.execution_id)
    record = PublishResult(loaded=7, quarantined=1, deduplicated=2, filtered=0, extracted=10, target_rows=7)

    ended = reconciled(home_store, running, None if status is None else a_run(status), record)

    assert (ended.status, ended.records_processed) == (ExecutionStatus.SUCCESS, 7)
    assert ended.metrics is not None
    assert ended.metrics["rows_extracted"] == 10
    assert ended.metrics["total_time_seconds"] >= ended.metrics["extraction_time_seconds"] >= 0


@pytest.mark.parametrize(("status", "code"), [(RunStatus.FAILURE, "WORKER_LOST"), (RunStatus.CANCELED, "CANCELLED")])
def test_what_passed_the_fence_without_publishing_has_failed(
    home_store: Store, running: Execution, status: RunStatus, code: str
) -> None:
    assert home_store.executions.claim_publish(running.execution_id)

    assert error_of(reconciled(home_store, running, a_run(status)))[0] == code


def test_a_final_state_never_changes(home_store: Store, running: Execution) -> None:
    home_store.executions.cancel(running.execution_id)
    final = home_store.executions.get(running.execution_id)

    assert reconciled(home_store, running, a_run(RunStatus.FAILURE)) == final
    assert verdict(final, None, LAUNCH_GRACE) is Verdict.KEEP
