"""Tasks of executions: what each step did, written by the worker as it goes.

A task changes only while its execution runs. The worker of an execution that was cancelled, or given
up as lost, learns it here: every change raises Cancelled then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, literal, select, update

from ingestion import clock
from ingestion.errors import Cancelled, InvalidState, NotFound
from ingestion.model.execution import ExecutionStatus, Task, TaskStatus
from ingestion.store.columns import UtcDateTime, is_storable
from ingestion.store.engine import Database
from ingestion.store.execution_rows import get_execution
from ingestion.store.rows import Page, Rows, page_of
from ingestion.store.tables import executions, tasks

_OPEN = (TaskStatus.PENDING, TaskStatus.RUNNING)


class ExecutionTasks:
    """The part of the execution repository that is about tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tasks(self, execution_id: str, page: Page, status: TaskStatus | None = None) -> Rows[Task]:
        """Tasks of an execution in the order they run."""
        if not is_storable(execution_id):
            return Rows([], 0)
        conditions: list[ColumnElement[bool]] = [tasks.c.execution_id == execution_id]
        if status is not None:
            conditions.append(tasks.c.status == status)
        with self._database.read() as connection:
            return page_of(connection, tasks, conditions, [tasks.c.position], page, _as_task)

    def all_tasks(self, execution_id: str) -> list[Task]:
        """All tasks of an execution in the order they run."""
        return self.tasks(execution_id, Page(size=1000)).items

    def start_task(self, execution_id: str, task_id: str, params: Mapping[str, Any]) -> None:
        """The task runs from now on; a repeat while it runs only replaces the parameters."""
        values = {
            "status": TaskStatus.RUNNING,
            "start_time": _first_start(clock.now()),
            "task_params": dict(params),
        }
        self._change(execution_id, task_id, _OPEN, values)

    def progress_task(self, execution_id: str, task_id: str, metrics: Mapping[str, Any]) -> None:
        """Replace the metrics of a running task by those so far."""
        self._change(execution_id, task_id, (TaskStatus.RUNNING,), {"metrics": dict(metrics)})

    def finish_task(
        self, execution_id: str, task_id: str, metrics: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> None:
        """The running task is done. Parameters stay as they were unless given. A repeat changes nothing."""
        values = {"status": TaskStatus.SUCCESS, "end_time": clock.now(), "metrics": dict(metrics)}
        if params is not None:
            values["task_params"] = dict(params)
        self._change(execution_id, task_id, (TaskStatus.RUNNING,), values, unless=TaskStatus.SUCCESS)

    def skip_task(self, execution_id: str, task_id: str, metrics: Mapping[str, Any] | None = None) -> None:
        """The task has nothing to do. A repeat changes nothing."""
        now = clock.now()
        values: dict[str, Any] = {
            "status": TaskStatus.SKIPPED,
            "start_time": _first_start(now),
            "end_time": now,
        }
        if metrics is not None:
            values["metrics"] = dict(metrics)
        self._change(execution_id, task_id, _OPEN, values, unless=TaskStatus.SKIPPED)

    def fail_task(self, execution_id: str, task_id: str) -> bool:
        """The task failed. Changes nothing, and answers False, when task or execution had ended before."""
        now = clock.now()
        values = {
            "status": TaskStatus.FAILED,
            "start_time": _first_start(now),
            "end_time": now,
        }
        with self._database.write() as connection:
            return _change_task(connection, execution_id, task_id, _OPEN, values)

    def _change(
        self,
        execution_id: str,
        task_id: str,
        expected: tuple[TaskStatus, ...],
        values: Mapping[str, Any],
        unless: TaskStatus | None = None,
    ) -> None:
        with self._database.write() as connection:
            if not _change_task(connection, execution_id, task_id, expected, values):
                _explain(connection, execution_id, task_id, unless)


def _change_task(
    connection: Connection,
    execution_id: str,
    task_id: str,
    expected: tuple[TaskStatus, ...],
    values: Mapping[str, Any],
) -> bool:
    if not (is_storable(execution_id) and is_storable(task_id)):
        return False
    running = select(executions.c.execution_id).where(
        executions.c.execution_id == execution_id, executions.c.status == ExecutionStatus.RUNNING
    )
    # Locked, so that the execution cannot end between the look at it and the change of its task.
    if connection.execute(running.with_for_update(read=True)).first() is None:
        return False
    statement = update(tasks).where(
        tasks.c.execution_id == execution_id, tasks.c.task_id == task_id, tasks.c.status.in_(expected)
    )
    return connection.execute(statement.values(values)).rowcount == 1


def _explain(connection: Connection, execution_id: str, task_id: str, unless: TaskStatus | None) -> None:
    """Raise why a task was not changed; no reason when it has the status `unless` already."""
    execution = get_execution(connection, execution_id)
    if execution.status is not ExecutionStatus.RUNNING:
        code = f" with {execution.error_details.error_code}" if execution.error_details else ""
        raise Cancelled(
            f"Execution '{execution_id}' is {execution.status}{code}: its task '{task_id}' may not go on",
            execution_id=execution_id,
        )
    query = select(tasks.c.status).where(tasks.c.execution_id == execution_id, tasks.c.task_id == task_id)
    status = connection.execute(query).scalar() if is_storable(task_id) else None
    if status is None:
        raise NotFound("Task", task_id)
    if status != unless:
        raise InvalidState(f"Task '{task_id}' of execution '{execution_id}' is {status} and cannot change so")


def _first_start(now: datetime) -> ColumnElement[datetime]:
    return func.coalesce(tasks.c.start_time, literal(now, UtcDateTime))


def _as_task(row: RowMapping) -> Task:
    return Task(**row)
