"""Executions and tasks in each state: what is not known is left out."""

from __future__ import annotations

from typing import Any

import pytest

from api.wire.executions import (
    ExecutionShown,
    TaskShown,
    show_cancelled,
    show_execution,
    show_execution_alone,
    show_task,
    shown_params,
)
from ingestion.model.execution import (
    TASK_LABELS,
    ErrorDetails,
    Execution,
    ExecutionStatus,
    PublishState,
    Task,
    TaskStatus,
    Trigger,
)
from ingestion.model.source import SourceType
from ingestion_tests.store.samples import MOMENT

ERROR = ErrorDetails(error_code="CANCELLED", error_message="why")


def an_execution(**changes: Any) -> Execution:
    values: dict[str, Any] = {
        "execution_id": "e1",
        "pipeline_id": "p1",
        "pipeline_revision": 1,
        "dag_id": "dag",
        "source_type": SourceType.GCS,
        "status": ExecutionStatus.PENDING,
        "trigger": Trigger.API,
        "execution_params": None,
        "retry_of_execution_id": None,
        "dag_run_id": "dag_1",
        "dagster_run_id": None,
        "is_queued": False,
        "is_forced": False,
        "publish_state": PublishState.OPEN,
        "start_time": MOMENT,
        "end_time": None,
        "records_processed": None,
        "metrics": None,
        "error_details": None,
        "created_by": "me",
    }
    return Execution(**(values | changes))


ENDED: dict[str, Any] = {"end_time": MOMENT, "records_processed": 0, "metrics": {"total_time_seconds": 1.0}}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, []),
        ({"execution_params": {}}, ["execution_params"]),
        ({"status": ExecutionStatus.SUCCESS, **ENDED}, ["end_time", "records_processed", "metrics"]),
        (
            {"status": ExecutionStatus.FAILED, "error_details": ERROR, **ENDED},
            ["end_time", "records_processed", "error_details"],
        ),
    ],
)
def test_what_is_shown_of_a_state(changes: dict[str, Any], more: list[str]) -> None:
    always = ["execution_id", "pipeline_id", "status", "start_time", "dag_run_id"]
    shown = show_execution(an_execution(**changes))
    assert sorted(shown) == sorted(always + more)
    assert [name for name in ExecutionShown.model_fields if name in shown] == list(shown), "in the contract's order"
    assert ExecutionShown.model_validate(shown).model_dump(mode="json", exclude_unset=True) == shown
    assert show_execution_alone(an_execution())["task_ids"][0] == "extract_from_gcs"


def test_a_cancel_shows_when_and_why_only() -> None:
    cancelled = an_execution(status=ExecutionStatus.FAILED, error_details=ERROR, execution_params={"x": 1}, **ENDED)
    shown = show_cancelled(cancelled)
    assert shown["error_details"] == {"error_code": "CANCELLED", "error_message": "why"}
    assert not {"records_processed", "execution_params", "metrics"} & set(shown)


def test_a_retry_says_what_it_retries() -> None:
    assert shown_params(an_execution(retry_of_execution_id="e0")) == {"retry_of_execution_id": "e0"}
    retry = an_execution(retry_of_execution_id="e0", execution_params={"x": 1})
    assert shown_params(retry) == {"x": 1, "retry_of_execution_id": "e0"}
    assert retry.execution_params == {"x": 1}


@pytest.mark.parametrize("task_id", TASK_LABELS)
def test_every_task_has_its_labels(task_id: str) -> None:
    task = Task(
        execution_id="e1",
        task_id=task_id,
        position=0,
        status=TaskStatus.PENDING,
        start_time=None,
        end_time=None,
        task_params={},
        metrics={},
    )
    shown = show_task(task, None)
    assert not {"start_time", "end_time", "log_url"} & set(shown)
    assert (shown["task_name"], shown["task_type"]) == TASK_LABELS[task_id]
    started = show_task(task.model_copy(update={"start_time": MOMENT}), "https://logs.example.com")
    assert (started["start_time"], started["log_url"]) == ("2023-06-15T10:30:00Z", "https://logs.example.com")
    assert TaskShown.model_validate(started).model_dump(mode="json", exclude_unset=True) == started
