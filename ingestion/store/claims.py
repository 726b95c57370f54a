"""The claim: at most one unfinished execution of a pipeline runs, the others are queued.

Claims are taken only under the lock of the pipeline's row and go in the transaction that finishes
their execution, so an unfinished execution either holds its pipeline's claim or is queued.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from ingestion import clock
from ingestion.errors import AlreadyRunning
from ingestion.model.execution import ExecutionStatus
from ingestion.store.tables import claims, executions, pipelines

UNFINISHED = tuple(status for status in ExecutionStatus if not status.is_final)


def lock_pipeline(connection: Connection, pipeline_id: str) -> bool:
    """Wait for the pipeline's row and keep it until the transaction ends; False when there is none."""
    query = select(pipelines.c.pipeline_id).where(pipelines.c.pipeline_id == pipeline_id).with_for_update()
    return connection.execute(query).first() is not None


def claim_holder(connection: Connection, pipeline_id: str) -> str | None:
    """The execution that holds the pipeline's claim."""
    return connection.execute(select(claims.c.execution_id).where(claims.c.pipeline_id == pipeline_id)).scalar()


def unfinished_execution(connection: Connection, pipeline_id: str) -> str | None:
    """The execution that keeps the pipeline busy: the claim's holder, else the first in the queue."""
    return claim_holder(connection, pipeline_id) or next_in_queue(connection, pipeline_id)


def next_in_queue(connection: Connection, pipeline_id: str) -> str | None:
    """The queued execution of the pipeline that was accepted first."""
    column = executions.c
    query = (
        select(column.execution_id)
        .where(column.pipeline_id == pipeline_id, column.status == ExecutionStatus.PENDING, column.is_queued)
        .order_by(column.start_time, column.execution_id)
        .limit(1)
    )
    return connection.execute(query).scalar()


def take_claim(connection: Connection, pipeline_id: str, execution_id: str) -> None:
    """Give a free claim to an execution; the pipeline's row must be locked."""
    values = {"pipeline_id": pipeline_id, "execution_id": execution_id, "claimed_at": clock.now()}
    connection.execute(insert(claims).values(values))


def release_claim(connection: Connection, execution_id: str) -> None:
    """Free the claim the execution holds, if it holds one."""
    connection.execute(delete(claims).where(claims.c.execution_id == execution_id))


def already_running(pipeline_id: str, execution_id: str) -> AlreadyRunning:
    """The refusal that names who is in the way."""
    return AlreadyRunning(
        f"Pipeline with ID '{pipeline_id}' is already running: execution '{execution_id}' is not finished",
        pipeline_id=pipeline_id,
        execution_id=execution_id,
    )
