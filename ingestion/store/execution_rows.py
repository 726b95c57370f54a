"""Executions as rows: reading them as models, and the two ways to end one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, case, literal, or_, select, update

from ingestion import clock
from ingestion.errors import NotFound
from ingestion.model.execution import ErrorDetails, Execution, ExecutionStatus, TaskStatus
from ingestion.store.claims import UNFINISHED, release_claim
from ingestion.store.columns import StoredText, UtcDateTime, is_storable
from ingestion.store.tables import executions, tasks

ENTITY = "Pipeline execution"


def find_execution(connection: Connection, execution_id: str) -> Execution | None:
    """The execution, or None."""
    if not is_storable(execution_id):
        return None
    query = select(executions).where(executions.c.execution_id == execution_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else as_execution(row)


def get_execution(connection: Connection, execution_id: str) -> Execution:
    """The execution. Raises NotFound."""
    found = find_execution(connection, execution_id)
    if found is None:
        raise NotFound(ENTITY, execution_id)
    return found


def as_execution(row: RowMapping) -> Execution:
    """A row of the executions table as its model."""
    return Execution(**row)


def change_execution(
    connection: Connection, execution_id: str, conditions: Sequence[ColumnElement[bool]], values: Mapping[str, Any]
) -> bool:
    """Set `values` if the execution meets all conditions at the moment it is written; whether it did."""
    if not is_storable(execution_id):
        return False
    statement = update(executions).where(executions.c.execution_id == execution_id, *conditions).values(values)
    return connection.execute(statement).rowcount == 1


def end_failed(
    connection: Connection,
    execution_id: str,
    error: ErrorDetails,
    not_started: TaskStatus,
    conditions: Sequence[ColumnElement[bool]] = (),
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Fail an unfinished execution that meets the conditions, with its tasks, and free its claim.

    Running tasks, and the one the error names, fail; those that did not start become `not_started`.
    """
    ended = {
        "status": ExecutionStatus.FAILED,
        "is_queued": False,
        "end_time": clock.now(),
        "records_processed": 0,
        "error_details": error.given(),
    }
    unfinished = executions.c.status.in_(UNFINISHED)
    if not change_execution(connection, execution_id, [unfinished, *conditions], ended | dict(values or {})):
        return False
    release_claim(connection, execution_id)
    column = tasks.c
    failed = or_(column.status == TaskStatus.RUNNING, column.task_id == error.task_id)
    end_open_tasks(connection, execution_id, case((failed, _status(TaskStatus.FAILED)), else_=_status(not_started)))
    return True


def end_open_tasks(connection: Connection, execution_id: str, status: TaskStatus | ColumnElement[str]) -> None:
    """Give all tasks of an execution that are not final the status; those that ran get an end time."""
    column = tasks.c
    is_open = column.status.in_((TaskStatus.PENDING, TaskStatus.RUNNING))
    end_time = case((column.start_time.is_not(None), literal(clock.now(), UtcDateTime)), else_=None)
    statement = update(tasks).where(column.execution_id == execution_id, is_open)
    connection.execute(statement.values(status=status, end_time=end_time))


def _status(status: TaskStatus) -> ColumnElement[str]:
    return literal(status, StoredText)
