from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import pytest

from ingestion.errors import AlreadyExists, AlreadyRunning, NotFound
from ingestion.model.execution import (
    ErrorDetails,
    ExecutionStatus,
    PublishState,
    TaskStatus,
    Trigger,
    dag_run_id_for,
    task_ids_for,
)
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import SourceType
from ingestion.store import Page, Store
from ingestion_tests.store.conftest import PROCESSES
from ingestion_tests.store.samples import a_new_execution, a_pipeline, broken_rules, running, with_pipeline

FAILURE = ErrorDetails(error_code="INTERNAL_ERROR", error_message="broken")


@pytest.fixture
def pipeline(store: Store) -> Pipeline:
    return with_pipeline(store)


def test_what_is_accepted_is_pending_with_four_tasks(store: Store, pipeline: Pipeline) -> None:
    params = {"z": 1, "batch_size": 1000, "a": {"y": 1.50, "b": None}}
    new = a_new_execution(pipeline, "e1", execution_params=params, is_forced=True, retry_of_execution_id="e0")
    accepted = store.executions.accept(new)
    assert accepted == store.executions.get("e1")
    assert accepted.status is ExecutionStatus.PENDING
    assert accepted.publish_state is PublishState.OPEN
    assert (accepted.pipeline_revision, accepted.is_queued, accepted.is_forced) == (1, False, True)
    assert (accepted.retry_of_execution_id, accepted.created_by) == ("e0", "admin@example.com")
    assert json.dumps(accepted.execution_params) == json.dumps(params)
    assert accepted.dag_run_id == dag_run_id_for(pipeline.dag_id, accepted.start_time)
    unset = (accepted.records_processed, accepted.end_time, accepted.metrics, accepted.error_details)
    assert unset == (None, None, None, None)
    tasks = store.executions.all_tasks("e1")
    assert [task.task_id for task in tasks] == list(task_ids_for(SourceType.GCS))
    assert {task.status for task in tasks} == {TaskStatus.PENDING}


def test_a_busy_pipeline_refuses_and_names_the_execution(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    with pytest.raises(AlreadyRunning, match="'p1' is already running: execution 'e1'") as caught:
        store.executions.accept(a_new_execution(pipeline, "e2"))
    assert caught.value.facts == {"pipeline_id": "p1", "execution_id": "e1"}
    with pytest.raises(NotFound):
        store.executions.get("e2")
    assert store.executions.all_tasks("e2") == []


def test_pipelines_do_not_wait_for_each_other(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    accepted = store.executions.accept(a_new_execution(with_pipeline(store, "p2"), "e2"))
    assert not accepted.is_queued


def test_the_same_execution_is_accepted_once(store: Store, pipeline: Pipeline) -> None:
    first = store.executions.accept(a_new_execution(pipeline, "e1", execution_params={"a": 1}))
    again = store.executions.accept(a_new_execution(pipeline, "e1", execution_params={"a": 2}))
    assert again == first
    store.executions.fail("e1", FAILURE)
    assert store.executions.accept(a_new_execution(pipeline, "e1")).status is ExecutionStatus.FAILED
    assert store.executions.list("p1", Page()).total == 1


def test_the_same_execution_for_two_pipelines_at_once_is_accepted_once(store: Store, pipeline: Pipeline) -> None:
    other = with_pipeline(store, "p2")
    with ThreadPoolExecutor(2) as pool:
        accepted = list(pool.map(store.executions.accept, (a_new_execution(each, "e1") for each in (pipeline, other))))
    assert accepted[0] == accepted[1]
    assert len(store.executions.unfinished()) == 1


def test_a_deleted_pipeline_is_not_found(store: Store, pipeline: Pipeline) -> None:
    store.pipelines.delete("p1")
    with pytest.raises(NotFound, match=r"^Pipeline with ID 'p1' not found$"):
        store.executions.accept(a_new_execution(pipeline))


def test_a_run_executes_one_execution(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1", dagster_run_id="r1"))
    store.executions.fail("e1", FAILURE)
    with pytest.raises(AlreadyExists, match="dagster_run_id 'r1'"):
        store.executions.accept(a_new_execution(pipeline, "e2", dagster_run_id="r1"))
    assert store.executions.unfinished() == []


def test_dag_run_ids_of_one_second_are_numbered(store: Store, pipeline: Pipeline) -> None:
    for number in range(12):
        store.executions.accept(a_new_execution(pipeline, f"e{number}"))
        store.executions.fail(f"e{number}", FAILURE)
    accepted = store.executions.list("p1", Page()).items[::-1]
    names = [execution.dag_run_id for execution in accepted]
    assert len(set(names)) == 12
    for earlier, later in pairwise(accepted):
        base = dag_run_id_for(pipeline.dag_id, later.start_time)
        if dag_run_id_for(pipeline.dag_id, earlier.start_time) == base:
            number = int(earlier.dag_run_id.removeprefix(base).removeprefix("_") or 1)
            assert later.dag_run_id == f"{base}_{number + 1}"
        else:
            assert later.dag_run_id == base


def test_a_reused_dag_id_keeps_dag_run_ids_apart(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "e1"))
    store.executions.fail("e1", FAILURE)
    store.pipelines.delete("p1")
    heir = store.pipelines.add(a_pipeline("p2", source_id=pipeline.source_id))
    assert heir.dag_id == pipeline.dag_id
    store.executions.accept(a_new_execution(heir, "e2"))
    assert store.executions.get("e1").dag_run_id != store.executions.get("e2").dag_run_id


def test_the_queue_is_served_in_order(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline, "e1")
    for execution_id in ("e3", "e2"):
        assert store.executions.accept(a_new_execution(pipeline, execution_id, queue_if_busy=True)).is_queued
    assert store.executions.promote_queued() == []
    assert not store.executions.start("e3", "r3")

    store.executions.fail("e1", FAILURE)
    with pytest.raises(AlreadyRunning, match="'e3'"):
        store.executions.accept(a_new_execution(pipeline, "e4"))
    promoted = store.executions.promote_queued()
    assert [(each.execution_id, each.is_queued) for each in promoted] == [("e3", False)]
    assert store.executions.promote_queued() == []
    assert store.executions.start("e3", "r3")

    store.executions.cancel("e3")
    assert [each.execution_id for each in store.executions.promote_queued()] == ["e2"]


def test_a_free_pipeline_does_not_queue(store: Store, pipeline: Pipeline) -> None:
    assert not store.executions.accept(a_new_execution(pipeline, queue_if_busy=True)).is_queued


def test_a_queued_execution_can_be_cancelled(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline, "e1")
    store.executions.accept(a_new_execution(pipeline, "e2", queue_if_busy=True))
    store.executions.cancel("e2")
    store.executions.cancel("e1")
    assert store.executions.promote_queued() == []
    assert store.executions.get("e2").is_queued is False


def test_the_newest_scheduled_execution_replaces_those_that_wait(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline, "e1")
    store.executions.accept(a_new_execution(pipeline, "by-hand", queue_if_busy=True))
    for number in range(3):
        store.executions.accept(
            a_new_execution(
                pipeline, f"tick{number}", trigger=Trigger.SCHEDULE, queue_if_busy=True, replace_queued=True
            )
        )
    assert [each.execution_id for each in store.executions.unfinished()] == ["e1", "by-hand", "tick2"]
    replaced = store.executions.get("tick1")
    assert replaced.status is ExecutionStatus.FAILED
    assert replaced.error_details is not None
    assert replaced.error_details.error_code == "SUPERSEDED"
    assert "'tick2'" in replaced.error_details.error_message
    assert {task.status for task in store.executions.all_tasks("tick1")} == {TaskStatus.SKIPPED}
    assert broken_rules(store) == []


def test_a_running_scheduled_execution_is_not_replaced(store: Store, pipeline: Pipeline) -> None:
    store.executions.accept(a_new_execution(pipeline, "tick0", trigger=Trigger.SCHEDULE))
    new = a_new_execution(pipeline, "tick1", trigger=Trigger.SCHEDULE, queue_if_busy=True, replace_queued=True)
    assert store.executions.accept(new).is_queued
    assert store.executions.get("tick0").status is ExecutionStatus.PENDING


def test_fifty_simultaneous_calls_give_one_acceptance(store: Store, pipeline: Pipeline) -> None:
    def attempt(number: int) -> str:
        try:
            return store.executions.accept(a_new_execution(pipeline, f"e{number}")).execution_id
        except AlreadyRunning as refusal:
            return f"behind {refusal.facts['execution_id']}"

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(attempt, range(50)))
    (winner,) = [answer for answer in answers if not answer.startswith("behind")]
    assert answers == {winner: 1, f"behind {winner}": 49}
    assert [each.execution_id for each in store.executions.unfinished()] == [winner]
    assert broken_rules(store) == []


def _accept_in_process(url: str, pipeline: Pipeline, process: int) -> int:
    """Seventeen calls in this process; how many were accepted."""
    with Store.open(url) as own, ThreadPoolExecutor(17) as pool:

        def attempt(number: int) -> bool:
            try:
                own.executions.accept(a_new_execution(pipeline, f"e{process}-{number}"))
            except AlreadyRunning:
                return False
            return True

        return sum(pool.map(attempt, range(17)))


def _promote_in_process(url: str, _process: int) -> list[str]:
    with Store.open(url) as own:
        return [execution.execution_id for execution in own.executions.promote_queued()]


def test_processes_that_accept_and_promote_at_once(
    store: Store, store_url: str, pipeline: Pipeline, processes: ProcessPoolExecutor
) -> None:
    pipelines = [pipeline, *(with_pipeline(store, f"q{number}") for number in range(5))]
    accepted = list(processes.map(partial(_accept_in_process, store_url, pipeline), range(PROCESSES)))
    assert sum(accepted) == 1

    for each in pipelines[1:]:
        running(store, each, f"first-{each.pipeline_id}")
    for each in pipelines:
        for number in range(2):
            store.executions.accept(a_new_execution(each, f"queued-{each.pipeline_id}-{number}", queue_if_busy=True))
    for execution in store.executions.unfinished():
        if not execution.is_queued:
            store.executions.fail(execution.execution_id, FAILURE)
    promoted = [
        name for names in processes.map(partial(_promote_in_process, store_url), range(PROCESSES)) for name in names
    ]
    assert sorted(promoted) == sorted(f"queued-{each.pipeline_id}-0" for each in pipelines)
    assert broken_rules(store) == []
