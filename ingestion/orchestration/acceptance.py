"""Which execution a run works on: the one it was launched for, or one it registers as its first act."""

from dataclasses import dataclass, replace

import dagster as dg
from pydantic import ValidationError

from ingestion.errors import AlreadyExecuting, AlreadyRunning, ExecutionFailure, InvalidParameters
from ingestion.model.execution import ErrorDetails, Execution, ExecutionParams, ExecutionStatus, Trigger
from ingestion.orchestration import tags
from ingestion.store import NewExecution, Store

SYSTEM = "system"
"""created_by of executions that no API client asked for."""


class NotOurs(Exception):
    """This run may not work on the execution it was launched for; there is nothing to record."""


@dataclass(frozen=True)
class Accepted:
    """The execution of this run, and whether the run does its first task just now."""

    execution: Execution
    is_first_task: bool


def accepted_execution(store: Store, run: dg.DagsterRun) -> Accepted:
    """The running execution of `run`.

    The first task of a run starts its execution, or registers one when the run comes from Dagster's own UI, a
    re-execution or a schedule. Raises NotOurs when the execution was cancelled, has ended or is another run's, and
    AlreadyExecuting (recorded on a registered execution) when the pipeline has another unfinished execution.
    """
    known = store.executions.by_run(run.run_id) or _launched_for(store, run)
    is_first_task = known is None or known.status is ExecutionStatus.PENDING
    execution = known or _register(store, run)
    if not store.executions.start(execution.execution_id, run.run_id):
        stored = store.executions.get(execution.execution_id)
        reason = f": {stored.error_details.error_message}" if stored.error_details else ""
        raise NotOurs(f"Execution '{stored.execution_id}' is {stored.status} and not for this run to work on{reason}")
    return Accepted(store.executions.get(execution.execution_id), is_first_task)


def _launched_for(store: Store, run: dg.DagsterRun) -> Execution | None:
    execution_id = run.tags.get(tags.EXECUTION_ID)
    if execution_id is None:
        return None
    execution = store.executions.get(execution_id)
    # Dagster's UI copies the tags when it runs something again: that is a new execution.
    is_copy = run.parent_run_id is not None and execution.dagster_run_id not in (None, run.run_id)
    return None if is_copy else execution


def _register(store: Store, run: dg.DagsterRun) -> Execution:
    pipeline = store.pipelines.by_dag_id(run.job_name)
    new = NewExecution(
        execution_id=run.run_id,
        pipeline=pipeline,
        source_type=store.sources.get(pipeline.source_id).source_type,
        trigger=Trigger.SCHEDULE if tags.SCHEDULE_NAME in run.tags else Trigger.RUN,
        execution_params=dict(run.run_config) or None,
        created_by=SYSTEM,
        is_forced=False,
        retry_of_execution_id=run.tags.get(tags.EXECUTION_ID) or _parent_execution(store, run),
        dagster_run_id=run.run_id,
    )
    try:
        execution = store.executions.accept(new)
    except AlreadyRunning as error:
        _record_refusal(store, new, AlreadyExecuting(error.message))
        raise AlreadyExecuting(error.message) from error
    _check_parameters(store, execution)
    return execution


def _parent_execution(store: Store, run: dg.DagsterRun) -> str | None:
    parent = store.executions.by_run(run.parent_run_id) if run.parent_run_id else None
    return parent.execution_id if parent else None


def _record_refusal(store: Store, new: NewExecution, error: ExecutionFailure) -> None:
    # A queued row takes no claim; failed at once, it is the trace of a run that may not start.
    _fail(store, store.executions.accept(replace(new, queue_if_busy=True)), error)


def _check_parameters(store: Store, execution: Execution) -> None:
    try:
        ExecutionParams.model_validate(execution.execution_params or {})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        failure = InvalidParameters(f"The run's configuration is not valid. {problems}")
        _fail(store, execution, failure)
        raise failure from error


def _fail(store: Store, execution: Execution, error: ExecutionFailure) -> None:
    store.executions.fail(execution.execution_id, ErrorDetails(error_code=error.code, error_message=error.message))
