"""Accepting executions: at once, or into the queue behind another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from ingestion import clock
from ingestion.errors import AlreadyExists, NotFound
from ingestion.model.execution import (
    ErrorDetails,
    Execution,
    ExecutionStatus,
    PublishState,
    TaskStatus,
    Trigger,
    dag_run_id_for,
    task_ids_for,
)
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import SourceType
from ingestion.store.claims import (
    already_running,
    claim_holder,
    lock_pipeline,
    next_in_queue,
    take_claim,
    unfinished_execution,
)
from ingestion.store.engine import Database
from ingestion.store.execution_rows import (
    ENTITY,
    change_execution,
    end_failed,
    find_execution,
    get_execution,
)
from ingestion.store.rows import violated_column
from ingestion.store.tables import claims, executions, tasks

SUPERSEDED = "SUPERSEDED"
"""error_code of a scheduled execution that a newer one replaced in the queue."""


@dataclass(frozen=True)
class NewExecution:
    """What is asked for. `pipeline` is the revision that will be used.

    `queue_if_busy` waits behind an unfinished execution instead of being refused; `replace_queued` fails
    the scheduled executions of the pipeline that still wait in the queue.
    """

    execution_id: str
    pipeline: Pipeline
    source_type: SourceType
    trigger: Trigger
    execution_params: dict[str, Any] | None
    created_by: str
    is_forced: bool
    queue_if_busy: bool = False
    replace_queued: bool = False
    retry_of_execution_id: str | None = None
    dagster_run_id: str | None = None


def accept(database: Database, new: NewExecution) -> Execution:
    """Store the execution, its tasks and its claim or place in the queue; see ExecutionRepository.accept."""
    try:
        with database.write() as connection:
            return _accept(connection, new)
    except IntegrityError as error:
        column = violated_column(error)
        if column == "dagster_run_id":
            raise AlreadyExists(ENTITY, column, str(new.dagster_run_id)) from error
        if column != "execution_id":
            raise
    with database.read() as connection:  # The same execution was accepted at the same moment for another pipeline.
        return get_execution(connection, new.execution_id)


def _accept(connection: Connection, new: NewExecution) -> Execution:
    pipeline_id = new.pipeline.pipeline_id
    is_there = lock_pipeline(connection, pipeline_id)
    known = find_execution(connection, new.execution_id)
    if known is not None:
        return known
    if not is_there:
        raise NotFound("Pipeline", pipeline_id)
    if new.replace_queued:
        _supersede_queued(connection, pipeline_id, new.execution_id)
    busy_with = unfinished_execution(connection, pipeline_id)
    if busy_with is not None and not new.queue_if_busy:
        raise already_running(pipeline_id, busy_with)
    accepted_at = clock.now()
    dag_run_id = _free_dag_run_id(connection, dag_run_id_for(new.pipeline.dag_id, accepted_at))
    execution = pending_execution(new, accepted_at, dag_run_id, is_queued=busy_with is not None)
    connection.execute(insert(executions).values(execution.model_dump()))
    connection.execute(insert(tasks), _tasks(execution))
    if not execution.is_queued:
        take_claim(connection, pipeline_id, execution.execution_id)
    return execution


def _supersede_queued(connection: Connection, pipeline_id: str, by_execution_id: str) -> None:
    column = executions.c
    waiting = select(column.execution_id).where(
        column.pipeline_id == pipeline_id,
        column.status == ExecutionStatus.PENDING,
        column.is_queued,
        column.trigger == Trigger.SCHEDULE,
    )
    error = ErrorDetails(
        error_code=SUPERSEDED, error_message=f"Replaced in the queue by the newer execution '{by_execution_id}'"
    )
    for execution_id in connection.execute(waiting.order_by(column.execution_id)).scalars().all():
        end_failed(connection, execution_id, error, TaskStatus.SKIPPED, conditions=[column.is_queued])


def pending_execution(new: NewExecution, accepted_at: datetime, dag_run_id: str, *, is_queued: bool) -> Execution:
    """The execution that `new` asks for, as it is right after it was accepted."""
    return Execution(
        execution_id=new.execution_id,
        pipeline_id=new.pipeline.pipeline_id,
        pipeline_revision=new.pipeline.revision,
        dag_id=new.pipeline.dag_id,
        source_type=new.source_type,
        status=ExecutionStatus.PENDING,
        trigger=new.trigger,
        execution_params=new.execution_params,
        retry_of_execution_id=new.retry_of_execution_id,
        dag_run_id=dag_run_id,
        dagster_run_id=new.dagster_run_id,
        is_queued=is_queued,
        is_forced=new.is_forced,
        publish_state=PublishState.OPEN,
        start_time=accepted_at,
        end_time=None,
        records_processed=None,
        metrics=None,
        error_details=None,
        created_by=new.created_by,
    )


def _free_dag_run_id(connection: Connection, wanted: str) -> str:
    """`wanted`, or with the first free suffix. Only executions of one pipeline meet, and it is locked."""
    name = wanted
    for number in count(2):
        if connection.execute(select(executions.c.dag_run_id).where(executions.c.dag_run_id == name)).first() is None:
            break
        name = f"{wanted}_{number}"
    return name


def _tasks(execution: Execution) -> list[dict[str, Any]]:
    return [
        {
            "execution_id": execution.execution_id,
            "task_id": task_id,
            "position": position,
            "status": TaskStatus.PENDING,
            "start_time": None,
            "end_time": None,
            "task_params": {},
            "metrics": {},
        }
        for position, task_id in enumerate(task_ids_for(execution.source_type))
    ]


def promote_queued(database: Database) -> list[Execution]:
    """Give each free claim that is waited for to the first in the queue; see ExecutionRepository."""
    column = executions.c
    waited_for = (
        select(column.pipeline_id)
        .where(column.status == ExecutionStatus.PENDING, column.is_queued)
        .where(~select(claims.c.pipeline_id).where(claims.c.pipeline_id == column.pipeline_id).exists())
        .distinct()
    )
    with database.read() as connection:
        pipeline_ids = connection.execute(waited_for).scalars().all()
    promoted = []
    for pipeline_id in pipeline_ids:
        with database.write() as connection:
            execution = _promote(connection, pipeline_id)
        if execution is not None:
            promoted.append(execution)
    return promoted


def _promote(connection: Connection, pipeline_id: str) -> Execution | None:
    if not lock_pipeline(connection, pipeline_id) or claim_holder(connection, pipeline_id) is not None:
        return None
    execution_id = next_in_queue(connection, pipeline_id)
    if execution_id is None:
        return None
    # The row is changed before the claim is taken: a cancel that waits for the row then sees the claim.
    conditions = [executions.c.is_queued, executions.c.status == ExecutionStatus.PENDING]
    if not change_execution(connection, execution_id, conditions, {"is_queued": False}):
        return None
    take_claim(connection, pipeline_id, execution_id)
    return get_execution(connection, execution_id)
