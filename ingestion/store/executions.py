"""Stored executions. Every change of state is one guarded UPDATE, in one transaction with what goes along."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from ingestion import clock
from ingestion.errors import InvalidState
from ingestion.model.execution import ErrorDetails, Execution, ExecutionStatus, PublishState, TaskStatus
from ingestion.store.acceptance import NewExecution, accept, promote_queued
from ingestion.store.claims import UNFINISHED, release_claim
from ingestion.store.columns import is_storable
from ingestion.store.execution_rows import (
    as_execution,
    change_execution,
    end_failed,
    end_open_tasks,
    get_execution,
)
from ingestion.store.rows import Page, Rows, page_of
from ingestion.store.tables import executions
from ingestion.store.tasks import ExecutionTasks

CANCELLED = "CANCELLED"
"""error_code of a cancelled execution."""


class CancelOutcome(StrEnum):
    """What a cancel came to. TOO_LATE: it publishes already, or ended otherwise."""

    CANCELLED = "CANCELLED"
    ALREADY_CANCELLED = "ALREADY_CANCELLED"
    TOO_LATE = "TOO_LATE"


class ExecutionRepository(ExecutionTasks):
    """Executions and their tasks. Final states never change."""

    def accept(self, new: NewExecution) -> Execution:
        """Store a new execution as PENDING, with its tasks and the pipeline's claim.

        An execution_id that is known answers what is stored and changes nothing. Raises NotFound for the
        pipeline, and AlreadyRunning naming the unfinished execution, unless `new` may queue behind it.
        """
        return accept(self._database, new)

    def promote_queued(self) -> list[Execution]:
        """Give free claims to those that queue for them, oldest first; answers those that may start now."""
        return promote_queued(self._database)

    def get(self, execution_id: str) -> Execution:
        """The execution. Raises NotFound."""
        with self._database.read() as connection:
            return get_execution(connection, execution_id)

    def by_run(self, dagster_run_id: str) -> Execution | None:
        """The execution that a Dagster run is for."""
        query = select(executions).where(executions.c.dagster_run_id == dagster_run_id)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first() if is_storable(dagster_run_id) else None
        return None if row is None else as_execution(row)

    def unfinished(self) -> list[Execution]:
        """All executions that have not ended, oldest first."""
        column = executions.c
        query = select(executions).where(column.status.in_(UNFINISHED)).order_by(column.start_time, column.execution_id)
        with self._database.read() as connection:
            return [as_execution(row) for row in connection.execute(query).mappings()]

    def list(
        self,
        pipeline_id: str,
        page: Page,
        status: ExecutionStatus | None = None,
        started_from: datetime | None = None,
        started_to: datetime | None = None,
    ) -> Rows[Execution]:
        """Executions of a pipeline, latest first; both bounds of `start_time` are inclusive."""
        if not is_storable(pipeline_id):
            return Rows([], 0)
        column = executions.c
        conditions: list[ColumnElement[bool]] = [column.pipeline_id == pipeline_id]
        if status is not None:
            conditions.append(column.status == status)
        if started_from is not None:
            conditions.append(column.start_time >= started_from)
        if started_to is not None:
            conditions.append(column.start_time <= started_to)
        order = (column.start_time.desc(), column.execution_id.desc())
        with self._database.read() as connection:
            return page_of(connection, executions, conditions, order, page, as_execution)

    def attach_run(self, execution_id: str, dagster_run_id: str) -> None:
        """Note which run executes it. Raises NotFound, or InvalidState when another run does."""
        with self._database.write() as connection:
            if not change_execution(
                connection, execution_id, [_fits_run(dagster_run_id)], {"dagster_run_id": dagster_run_id}
            ):
                stored = get_execution(connection, execution_id)
                raise InvalidState(
                    f"Execution '{execution_id}' is executed by run '{stored.dagster_run_id}', not '{dagster_run_id}'"
                )

    def start(self, execution_id: str, dagster_run_id: str) -> bool:
        """PENDING becomes RUNNING for this run, which then may work on it; True again for a repeat.

        False: it ended (or was cancelled), it queues, or it is another run's.
        """
        column = executions.c
        conditions = [
            column.status.in_((ExecutionStatus.PENDING, ExecutionStatus.RUNNING)),
            column.is_queued.is_(False),
            _fits_run(dagster_run_id),
        ]
        values = {"status": ExecutionStatus.RUNNING, "dagster_run_id": dagster_run_id}
        with self._database.write() as connection:
            return change_execution(connection, execution_id, conditions, values)

    def claim_publish(self, execution_id: str) -> bool:
        """Close the fence to cancels: True when the execution may publish, also for a repeat."""
        column = executions.c
        conditions = [
            column.status == ExecutionStatus.RUNNING,
            column.publish_state.in_((PublishState.OPEN, PublishState.CLAIMED)),
        ]
        with self._database.write() as connection:
            return change_execution(connection, execution_id, conditions, {"publish_state": PublishState.CLAIMED})

    def succeed(self, execution_id: str, records_processed: int, metrics: Mapping[str, Any]) -> bool:
        """RUNNING with the fence claimed becomes SUCCESS; False, and no change, from any other state.

        A task that a lost worker left running is successful too, since what it did is published.
        """
        column = executions.c
        conditions = [column.status == ExecutionStatus.RUNNING, column.publish_state == PublishState.CLAIMED]
        values = {
            "status": ExecutionStatus.SUCCESS,
            "end_time": clock.now(),
            "records_processed": records_processed,
            "metrics": dict(metrics),
        }
        with self._database.write() as connection:
            if not change_execution(connection, execution_id, conditions, values):
                return False
            release_claim(connection, execution_id)
            end_open_tasks(connection, execution_id, TaskStatus.SUCCESS)
            return True

    def fail(self, execution_id: str, error: ErrorDetails, metrics: Mapping[str, Any] | None = None) -> bool:
        """Any state that is not final becomes FAILED; False, and no change, from a final one."""
        values = {} if metrics is None else {"metrics": dict(metrics)}
        with self._database.write() as connection:
            return end_failed(connection, execution_id, error, TaskStatus.UPSTREAM_FAILED, values=values)

    def cancel(self, execution_id: str, reason: str = "Execution cancelled by user") -> CancelOutcome:
        """Fail it as cancelled unless it publishes already or has ended. Raises NotFound."""
        error = ErrorDetails(error_code=CANCELLED, error_message=reason)
        fence = executions.c.publish_state == PublishState.OPEN
        values = {"publish_state": PublishState.CANCELLED}
        with self._database.write() as connection:
            if end_failed(connection, execution_id, error, TaskStatus.SKIPPED, conditions=[fence], values=values):
                return CancelOutcome.CANCELLED
            stored = get_execution(connection, execution_id)
        if stored.error_details is not None and stored.error_details.error_code == CANCELLED:
            return CancelOutcome.ALREADY_CANCELLED
        return CancelOutcome.TOO_LATE


def _fits_run(dagster_run_id: str) -> ColumnElement[bool]:
    column = executions.c.dagster_run_id
    return or_(column.is_(None), column == dagster_run_id)
