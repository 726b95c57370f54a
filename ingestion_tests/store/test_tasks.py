from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ingestion.errors import Cancelled, InvalidState, NotFound
from ingestion.model.execution import ErrorDetails, Task, TaskStatus
from ingestion.store import Page, Store
from ingestion_tests.store.samples import a_new_execution, broken_rules, running, with_pipeline

EXTRACT = "extract_from_gcs"
FAILURE = ErrorDetails(error_code="WORKER_LOST", error_message="lost")


@pytest.fixture(autouse=True)
def _execution(store: Store) -> None:
    running(store, with_pipeline(store))


def first(store: Store) -> Task:
    return store.executions.all_tasks("e1")[0]


def test_a_task_from_start_to_end(store: Store) -> None:
    store.executions.start_task("e1", EXTRACT, {"bucket": "b", "a": 1})
    started = first(store)
    assert (started.status, started.task_params, started.metrics) == (TaskStatus.RUNNING, {"bucket": "b", "a": 1}, {})
    assert started.start_time is not None
    assert started.end_time is None
    store.executions.progress_task("e1", EXTRACT, {"rows": 1})
    assert first(store) == started.model_copy(update={"metrics": {"rows": 1}})
    store.executions.finish_task("e1", EXTRACT, {"rows": 2})
    done = first(store)
    assert (done.status, done.metrics, done.task_params) == (TaskStatus.SUCCESS, {"rows": 2}, started.task_params)
    assert done.start_time == started.start_time
    assert done.end_time is not None
    assert done.end_time >= started.start_time


def test_finish_may_replace_the_parameters(store: Store) -> None:
    store.executions.start_task("e1", EXTRACT, {"a": 1})
    store.executions.finish_task("e1", EXTRACT, {}, {"b": 2})
    assert first(store).task_params == {"b": 2}


def test_repeats_change_nothing(store: Store) -> None:
    store.executions.start_task("e1", EXTRACT, {"a": 1})
    started = first(store)
    store.executions.start_task("e1", EXTRACT, {"a": 2})
    assert first(store) == started.model_copy(update={"task_params": {"a": 2}})
    store.executions.finish_task("e1", EXTRACT, {"rows": 2})
    done = first(store)
    store.executions.finish_task("e1", EXTRACT, {"rows": 3})
    assert not store.executions.fail_task("e1", EXTRACT)
    assert first(store) == done
    store.executions.skip_task("e1", "transform_data", {"rows": 1})
    store.executions.skip_task("e1", "transform_data", {"rows": 2})
    skipped = store.executions.all_tasks("e1")[1]
    assert (skipped.status, skipped.metrics) == (TaskStatus.SKIPPED, {"rows": 1})
    assert skipped.start_time == skipped.end_time is not None


def test_what_does_not_fit_the_state_is_refused(store: Store) -> None:
    with pytest.raises(InvalidState, match="is PENDING"):
        store.executions.finish_task("e1", EXTRACT, {})
    with pytest.raises(InvalidState, match="is PENDING"):
        store.executions.progress_task("e1", EXTRACT, {})
    store.executions.start_task("e1", EXTRACT, {})
    assert store.executions.fail_task("e1", EXTRACT)
    with pytest.raises(InvalidState, match="is FAILED"):
        store.executions.start_task("e1", EXTRACT, {})
    assert first(store).status is TaskStatus.FAILED
    assert first(store).end_time is not None


def test_unknown_tasks_and_executions_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="Task with ID 'nothing'"):
        store.executions.start_task("e1", "nothing", {})
    with pytest.raises(NotFound, match="Pipeline execution with ID 'e9'"):
        store.executions.start_task("e9", EXTRACT, {})
    assert not store.executions.fail_task("e9", EXTRACT)


def test_the_worker_of_a_cancelled_execution_is_stopped(store: Store) -> None:
    store.executions.start_task("e1", EXTRACT, {})
    store.executions.cancel("e1")
    before = store.executions.all_tasks("e1")
    for change in (store.executions.start_task, store.executions.progress_task, store.executions.finish_task):
        with pytest.raises(Cancelled, match="FAILED with CANCELLED"):
            change("e1", EXTRACT, {})
    with pytest.raises(Cancelled):
        store.executions.skip_task("e1", "transform_data")
    assert store.executions.all_tasks("e1") == before


def test_an_execution_that_did_not_start_has_no_running_task(store: Store) -> None:
    store.executions.accept(a_new_execution(with_pipeline(store, "p2"), "e2"))
    with pytest.raises(Cancelled, match="'e2' is PENDING"):
        store.executions.start_task("e2", EXTRACT, {})
    assert store.executions.all_tasks("e2")[0].status is TaskStatus.PENDING


def test_tasks_are_paged_in_the_order_they_run(store: Store) -> None:
    store.executions.start_task("e1", EXTRACT, {})
    assert [task.position for task in store.executions.tasks("e1", Page()).items] == [0, 1, 2, 3]
    page = store.executions.tasks("e1", Page(2, 3))
    assert ([task.task_id for task in page.items], page.total) == (["validate_data_quality"], 4)
    pending = store.executions.tasks("e1", Page(1, 1), status=TaskStatus.PENDING)
    assert ([task.task_id for task in pending.items], pending.total) == (["transform_data"], 3)


def test_no_task_stays_open_when_its_execution_ends_meanwhile(store: Store) -> None:
    pipeline = store.pipelines.get("p1")
    for number in range(8):
        store.executions.fail("e1", FAILURE)
        execution_id = running(store, pipeline, f"x{number}")
        with ThreadPoolExecutor(3) as pool:
            pool.submit(store.executions.start_task, execution_id, EXTRACT, {})
            failing = pool.submit(store.executions.fail, execution_id, FAILURE)
            pool.submit(store.executions.skip_task, execution_id, "transform_data")
        assert failing.result()
        assert broken_rules(store) == []
