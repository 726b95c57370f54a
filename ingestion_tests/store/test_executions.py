from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingestion.errors import InvalidState, NotFound
from ingestion.model.execution import ErrorDetails, Execution, ExecutionStatus, PublishState, TaskStatus
from ingestion.model.pipeline import Pipeline
from ingestion.store import CancelOutcome, Page, Store
from ingestion_tests.store.samples import (
    a_new_execution,
    broken_rules,
    publishing,
    running,
    seconds,
    with_pipeline,
)

FAILURE = ErrorDetails(error_code="FILE_NOT_FOUND", error_message="Gone: a\0b", task_id="extract_from_gcs")


@pytest.fixture
def pipeline(store: Store) -> Pipeline:
    return with_pipeline(store)


def task_statuses(store: Store, execution_id: str = "e1") -> list[str]:
    return [task.status.value for task in store.executions.all_tasks(execution_id)]


@pytest.mark.parametrize("execution_id", ["unknown", "a\0b", "\ud800"])
def test_an_unknown_execution_is_not_found(store: Store, execution_id: str) -> None:
    for ask in (store.executions.get, store.executions.cancel):
        with pytest.raises(NotFound, match=r"^Pipeline execution with ID '"):
            ask(execution_id)
    assert store.executions.by_run(execution_id) is None
    assert store.executions.list(execution_id, Page()).total == 0
    assert store.executions.tasks(execution_id, Page()).total == 0


def test_a_success(store: Store, pipeline: Pipeline) -> None:
    publishing(store, pipeline)
    metrics = {"total_time_seconds": 900, "loading_time_seconds": 180.5}
    assert store.executions.succeed("e1", 5_280_000_000, metrics)
    done = store.executions.get("e1")
    assert (done.status, done.records_processed, done.metrics) == (ExecutionStatus.SUCCESS, 5_280_000_000, metrics)
    assert done.end_time is not None
    assert done.end_time >= done.start_time
    assert store.executions.accept(a_new_execution(pipeline, "e2")).is_queued is False
    assert broken_rules(store) == []


def test_a_success_needs_the_fence(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline)
    assert not store.executions.succeed("e1", 1, {})
    assert store.executions.get("e1").status is ExecutionStatus.RUNNING


def test_a_failure(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline)
    store.executions.start_task("e1", "extract_from_gcs", {})
    assert store.executions.fail("e1", FAILURE, {"total_time_seconds": 1})
    failed = store.executions.get("e1")
    assert (failed.status, failed.error_details, failed.records_processed) == (ExecutionStatus.FAILED, FAILURE, 0)
    assert failed.metrics == {"total_time_seconds": 1}
    assert task_statuses(store) == ["FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED", "UPSTREAM_FAILED"]
    ends = [task.end_time is None for task in store.executions.all_tasks("e1")]
    assert ends == [False, True, True, True]
    assert store.executions.accept(a_new_execution(pipeline, "e2")).is_queued is False
    assert broken_rules(store) == []


def test_a_failure_before_the_start_names_no_task(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    assert store.executions.fail("e1", ErrorDetails(error_code="WORKER_LOST", error_message="lost"))
    assert task_statuses(store) == ["UPSTREAM_FAILED"] * 4
    assert store.executions.get("e1").metrics is None


def test_a_failure_after_the_fence_is_possible(store: Store, pipeline: Pipeline) -> None:
    publishing(store, pipeline)
    assert store.executions.fail("e1", FAILURE)
    assert store.executions.get("e1").publish_state is PublishState.CLAIMED


def test_a_cancel(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline)
    store.executions.start_task("e1", "extract_from_gcs", {})
    store.executions.finish_task("e1", "extract_from_gcs", {})
    store.executions.start_task("e1", "transform_data", {})
    assert store.executions.cancel("e1") is CancelOutcome.CANCELLED
    cancelled = store.executions.get("e1")
    assert (cancelled.status, cancelled.publish_state) == (ExecutionStatus.FAILED, PublishState.CANCELLED)
    assert cancelled.error_details == ErrorDetails(error_code="CANCELLED", error_message="Execution cancelled by user")
    assert task_statuses(store) == ["SUCCESS", "FAILED", "SKIPPED", "SKIPPED"]
    assert not store.executions.claim_publish("e1")
    assert not store.executions.start("e1", "run-of-e1")
    assert store.executions.cancel("e1", "again") is CancelOutcome.ALREADY_CANCELLED
    assert store.executions.get("e1") == cancelled
    assert broken_rules(store) == []


def test_a_cancel_comes_too_late_for_the_fence(store: Store, pipeline: Pipeline) -> None:
    publishing(store, pipeline)
    assert store.executions.claim_publish("e1")
    assert store.executions.cancel("e1") is CancelOutcome.TOO_LATE
    assert store.executions.succeed("e1", 1, {})
    assert store.executions.cancel("e1") is CancelOutcome.TOO_LATE


def _ends(store: Store) -> dict[str, Any]:
    return {
        "start": store.executions.start("e1", "run-of-e1"),
        "claim_publish": store.executions.claim_publish("e1"),
        "succeed": store.executions.succeed("e1", 7, {"other": 1}),
        "fail": store.executions.fail("e1", ErrorDetails(error_code="OTHER", error_message="other")),
        "cancelled": store.executions.cancel("e1", "other") is CancelOutcome.CANCELLED,
        "fail_task": store.executions.fail_task("e1", "transform_data"),
    }


@pytest.mark.parametrize("end", ["success", "failure", "cancel"])
def test_final_states_never_change(store: Store, pipeline: Pipeline, end: str) -> None:
    running(store, pipeline)
    if end == "success":
        assert store.executions.claim_publish("e1")
        assert store.executions.succeed("e1", 1, {})
    elif end == "failure":
        assert store.executions.fail("e1", FAILURE)
    else:
        assert store.executions.cancel("e1") is CancelOutcome.CANCELLED
    before = (store.executions.get("e1"), store.executions.all_tasks("e1"))
    assert set(_ends(store).values()) == {False}
    assert (store.executions.get("e1"), store.executions.all_tasks("e1")) == before


def test_an_execution_starts_for_one_run(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    assert not store.executions.claim_publish("e1")
    assert store.executions.start("e1", "r1")
    assert store.executions.start("e1", "r1")
    assert not store.executions.start("e1", "r2")
    assert not store.executions.start("unknown", "r2")
    found = store.executions.by_run("r1")
    assert found is not None
    assert (found.execution_id, found.status) == ("e1", ExecutionStatus.RUNNING)
    assert store.executions.by_run("r2") is None


def test_a_run_is_attached_once(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    store.executions.attach_run("e1", "r1")
    store.executions.attach_run("e1", "r1")
    with pytest.raises(InvalidState, match="run 'r1', not 'r2'"):
        store.executions.attach_run("e1", "r2")
    with pytest.raises(NotFound):
        store.executions.attach_run("unknown", "r1")
    assert not store.executions.start("e1", "r2")
    assert store.executions.start("e1", "r1")


def test_a_cancelled_execution_still_learns_its_run(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    store.executions.cancel("e1")
    store.executions.attach_run("e1", "r1")
    attached = store.executions.get("e1")
    assert (attached.dagster_run_id, attached.status) == ("r1", ExecutionStatus.FAILED)


def _history(store: Store, pipeline: Pipeline) -> list[Execution]:
    """Five executions of p1, the earliest first: failed, except for the last, which is pending."""
    for number in range(5):
        store.executions.accept(a_new_execution(pipeline, f"e{number}"))
        if number < 4:
            store.executions.fail(f"e{number}", FAILURE)
    return [store.executions.get(f"e{number}") for number in range(5)]


def test_the_latest_execution_is_listed_first(store: Store, pipeline: Pipeline) -> None:
    history = _history(store, pipeline)
    running(store, with_pipeline(store, "p2"), "other")
    assert store.executions.list("p1", Page()).items == history[::-1]
    page = store.executions.list("p1", Page(2, 2))
    assert (page.items, page.total) == ([history[2], history[1]], 5)
    assert store.executions.list("p1", Page(99, 100)).items == []


def test_executions_are_filtered(store: Store, pipeline: Pipeline) -> None:
    history = _history(store, pipeline)
    times = [execution.start_time for execution in history]

    def ids(**filters: Any) -> list[str]:
        return [each.execution_id for each in store.executions.list("p1", Page(), **filters).items]

    assert ids(status=ExecutionStatus.PENDING) == ["e4"]
    assert ids(status=ExecutionStatus.HEALING) == []
    assert ids(started_from=times[3]) == ["e4", "e3"]
    assert ids(started_to=times[1]) == ["e1", "e0"]
    assert ids(started_from=times[1], started_to=times[1]) == ["e1"]
    assert ids(started_from=times[1] + seconds(0.000001), started_to=times[2] - seconds(0.000001)) == []
    assert ids(status=ExecutionStatus.FAILED, started_from=times[3]) == ["e3"]


def test_unfinished_are_listed_oldest_first(store: Store, pipeline: Pipeline) -> None:
    running(store, with_pipeline(store, "p2"), "z")
    running(store, pipeline, "y")
    store.executions.accept(a_new_execution(pipeline, "a", queue_if_busy=True))
    assert [each.execution_id for each in store.executions.unfinished()] == ["z", "y", "a"]
    store.executions.cancel("y")
    assert [each.execution_id for each in store.executions.unfinished()] == ["z", "a"]


def test_a_success_closes_what_a_lost_worker_left_open(store: Store, pipeline: Pipeline) -> None:
    publishing(store, pipeline)
    store.executions.start_task("e1", "validate_data_quality", {})
    assert store.executions.succeed("e1", 1, {})
    assert store.executions.all_tasks("e1")[-1].status is TaskStatus.SUCCESS
    assert store.executions.all_tasks("e1")[-1].end_time is not None


def test_cancel_and_publish_have_one_winner(store: Store, pipeline: Pipeline) -> None:
    def contest(number: int) -> tuple[bool, bool]:
        execution_id = running(store, pipeline, f"e{number}")
        with ThreadPoolExecutor(6) as pool:
            cancels = [pool.submit(store.executions.cancel, execution_id) for _ in range(3)]
            claims = [pool.submit(store.executions.claim_publish, execution_id) for _ in range(3)]
        cancelled = CancelOutcome.CANCELLED in [cancel.result() for cancel in cancels]
        claimed = {claim.result() for claim in claims}
        assert len(claimed) == 1, "a repeated claim answers what the first one did"
        if True in claimed:
            assert store.executions.succeed(execution_id, 1, {})
        assert store.executions.get(execution_id).status is (
            ExecutionStatus.FAILED if cancelled else ExecutionStatus.SUCCESS
        )
        return cancelled, True in claimed

    assert set(map(contest, range(10))) <= {(True, False), (False, True)}
    assert broken_rules(store) == []


def test_cancel_and_promotion_leave_no_claim_behind(store: Store, pipeline: Pipeline) -> None:
    for number in range(10):
        running(store, pipeline, f"first{number}")
        store.executions.accept(a_new_execution(pipeline, f"queued{number}", queue_if_busy=True))
        with ThreadPoolExecutor(3) as pool:
            pool.submit(store.executions.fail, f"first{number}", FAILURE)
            promoting = pool.submit(store.executions.promote_queued)
            cancelling = pool.submit(store.executions.cancel, f"queued{number}")
        assert promoting.exception() is None
        assert cancelling.result() is CancelOutcome.CANCELLED
        assert broken_rules(store) == []
        assert store.executions.unfinished() == []
