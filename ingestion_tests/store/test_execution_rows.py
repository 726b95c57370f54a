"""Guarded changes of an execution's row, and what its end does to its tasks and claim."""

from __future__ import annotations

import pytest

from ingestion.errors import NotFound
from ingestion.model.execution import ErrorDetails, ExecutionStatus, TaskStatus
from ingestion.store import Store
from ingestion.store.execution_rows import change_execution, end_failed, end_open_tasks, find_execution, get_execution
from ingestion.store.tables import executions
from ingestion_tests.store.samples import broken_rules, running, with_pipeline

ERROR = ErrorDetails(error_code="X", error_message="why", task_id="load_to_bigquery")
TOO_LATE = executions.c.status == ExecutionStatus.PENDING


@pytest.fixture
def execution_id(store: Store) -> str:
    started = running(store, with_pipeline(store))
    store.executions.start_task(started, "extract_from_gcs", {})
    store.executions.finish_task(started, "extract_from_gcs", {})
    store.executions.start_task(started, "transform_data", {})
    return started


@pytest.mark.parametrize("unknown", ["none", "", "\0"])
def test_what_is_not_there_is_not_found_and_not_changed(store: Store, unknown: str) -> None:
    with store.executions._database.write() as connection:
        assert find_execution(connection, unknown) is None
        assert not change_execution(connection, unknown, [], {"is_queued": True})
        assert not end_failed(connection, unknown, ERROR, TaskStatus.SKIPPED)
        with pytest.raises(NotFound, match="Pipeline execution"):
            get_execution(connection, unknown)


def test_a_change_needs_all_its_conditions(store: Store, execution_id: str) -> None:
    with store.executions._database.write() as connection:
        assert not change_execution(connection, execution_id, [TOO_LATE], {"is_forced": True})
        assert not end_failed(connection, execution_id, ERROR, TaskStatus.SKIPPED, [TOO_LATE])
        assert get_execution(connection, execution_id).status is ExecutionStatus.RUNNING
        assert change_execution(connection, execution_id, [], {"is_forced": True})
        assert get_execution(connection, execution_id).is_forced


def test_a_failure_ends_the_tasks_that_ran_and_the_one_it_names(store: Store, execution_id: str) -> None:
    with store.executions._database.write() as connection:
        assert end_failed(connection, execution_id, ERROR, TaskStatus.UPSTREAM_FAILED, values={"records_processed": 7})
        assert not end_failed(connection, execution_id, ERROR, TaskStatus.SKIPPED), "it has ended"

    assert store.executions.get(execution_id).records_processed == 7
    tasks = store.executions.all_tasks(execution_id)
    assert [task.status for task in tasks] == [
        TaskStatus.SUCCESS,
        TaskStatus.FAILED,
        TaskStatus.FAILED,
        TaskStatus.UPSTREAM_FAILED,
    ]
    assert [task.end_time is not None for task in tasks] == [True, True, False, False]
    assert broken_rules(store) == []


def test_only_open_tasks_are_ended(store: Store, execution_id: str) -> None:
    with store.executions._database.write() as connection:
        end_open_tasks(connection, execution_id, TaskStatus.SKIPPED)
        end_open_tasks(connection, execution_id, TaskStatus.FAILED)

    statuses = [task.status for task in store.executions.all_tasks(execution_id)]
    assert statuses == [TaskStatus.SUCCESS] + [TaskStatus.SKIPPED] * 3
