"""Executions and tasks on the wire. What is not known yet is left out, not null (wire decision 11)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.wire.envelopes import Instant, WireModel
from ingestion.clock import to_wire
from ingestion.model.base import StrictModel
from ingestion.model.execution import (
    TASK_LABELS,
    ErrorDetails,
    Execution,
    ExecutionStatus,
    Task,
    TaskStatus,
    task_ids_for,
)

RETRY_OF = "retry_of_execution_id"


class Execute(StrictModel):
    """How to execute a pipeline. `execution_params` is free-form; batch_size, include_deleted, start_date and
    end_date have a meaning.
    """

    execution_params: dict[str, Any] | None = None
    async_execution: bool = True
    force_execution: bool = False


class Retry(StrictModel):
    """How to retry an execution: its own parameters, overlaid by these."""

    execution_params: dict[str, Any] | None = None


class Cancel(StrictModel):
    """Nothing is needed to cancel."""


class ErrorShown(WireModel):
    """Why an execution failed; `error_code` is of the catalogue of execution errors."""

    error_code: str
    error_message: str
    task_id: str | None = None


class ExecutionShown(WireModel):
    """An execution as it is read."""

    execution_id: str
    pipeline_id: str
    status: ExecutionStatus
    start_time: Instant
    end_time: Instant | None = None
    dag_run_id: str
    records_processed: int | None = Field(default=None, ge=0)
    execution_params: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    error_details: ErrorShown | None = None
    task_ids: list[str] | None = None


class TaskShown(WireModel):
    """A task as it is read."""

    task_id: str
    execution_id: str
    task_name: str
    task_type: str
    status: TaskStatus
    start_time: Instant | None = None
    end_time: Instant | None = None
    task_params: dict[str, Any]
    metrics: dict[str, Any]
    log_url: str | None = None


def show_execution(execution: Execution) -> dict[str, Any]:
    """An execution as one of many, or as it was just accepted."""
    shown: dict[str, Any] = _identity(execution)
    if execution.records_processed is not None and execution.status is not ExecutionStatus.PENDING:
        shown["records_processed"] = execution.records_processed
    params = shown_params(execution)
    if params is not None:
        shown["execution_params"] = params
    if execution.metrics and execution.status is ExecutionStatus.SUCCESS:
        shown["metrics"] = execution.metrics
    if execution.error_details is not None:
        shown["error_details"] = _show_error(execution.error_details)
    return shown


def show_execution_alone(execution: Execution) -> dict[str, Any]:
    """An execution with the ids of its tasks."""
    return show_execution(execution) | {"task_ids": list(task_ids_for(execution.source_type))}


def show_cancelled(execution: Execution) -> dict[str, Any]:
    """The answer of a cancel: when and why, without parameters and counts (wire decision 55)."""
    shown: dict[str, Any] = _identity(execution)
    if execution.error_details is not None:
        shown["error_details"] = _show_error(execution.error_details)
    return shown


def show_task(task: Task, log_url: str | None) -> dict[str, Any]:
    """A task as it is read."""
    name, kind = TASK_LABELS[task.task_id]
    shown: dict[str, Any] = {
        "task_id": task.task_id,
        "execution_id": task.execution_id,
        "task_name": name,
        "task_type": kind,
        "status": task.status.value,
    }
    if task.start_time is not None:
        shown["start_time"] = to_wire(task.start_time)
    if task.end_time is not None:
        shown["end_time"] = to_wire(task.end_time)
    shown["task_params"] = task.task_params
    shown["metrics"] = task.metrics
    if log_url is not None:
        shown["log_url"] = log_url
    return shown


def shown_params(execution: Execution) -> dict[str, Any] | None:
    """The parameters as they were sent, and what is retried; None when there is nothing to show."""
    if execution.retry_of_execution_id is None:
        return execution.execution_params
    return (execution.execution_params or {}) | {RETRY_OF: execution.retry_of_execution_id}


def _identity(execution: Execution) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "execution_id": execution.execution_id,
        "pipeline_id": execution.pipeline_id,
        "status": execution.status.value,
        "start_time": to_wire(execution.start_time),
    }
    if execution.end_time is not None:
        shown["end_time"] = to_wire(execution.end_time)
    shown["dag_run_id"] = execution.dag_run_id
    return shown


def _show_error(error: ErrorDetails) -> dict[str, Any]:
    return error.model_dump(mode="json", exclude_none=True)
