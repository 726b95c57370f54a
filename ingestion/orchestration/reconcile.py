"""Dagster's view of runs, brought into ours of executions: crashed workers, terminated and missing runs.

Dagster is the truth about runs, the store about executions, the warehouse about what was published.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, auto

from ingestion.errors import Cancelled, IngestionError, UnexpectedFailure, WorkerLost
from ingestion.model.execution import ErrorDetails, Execution, ExecutionStatus, TaskStatus
from ingestion.orchestration.dagster_api import RunStatus, RunView
from ingestion.orchestration.outcome import settle_published
from ingestion.store import CancelOutcome, Store
from ingestion.warehouses.base import Warehouse

LAUNCH_GRACE = timedelta(seconds=30)
"""How long an accepted execution may be without a run before somebody launches one."""

CANCELLED_BY_USER = "Execution cancelled by user"


class Verdict(Enum):
    """What an unfinished execution needs."""

    KEEP = auto()
    """Nothing: it waits or works."""
    LAUNCH = auto()
    """A run: nobody launched one, or whoever did died before."""
    CANCEL = auto()
    """To be cancelled: its run was terminated."""
    LOST = auto()
    """To be failed: its run has failed, or is gone, without a word."""
    UNPUBLISHED = auto()
    """To be failed: its run ended well but has not published."""


def verdict(execution: Execution, run: RunView | None, unlaunched_for: timedelta) -> Verdict:
    """What `execution` needs, given its run. `unlaunched_for` is how long it is known to be without one."""
    if execution.status.is_final or execution.is_queued:
        return Verdict.KEEP
    if run is None:
        if execution.dagster_run_id is not None:
            return Verdict.LOST
        return Verdict.LAUNCH if unlaunched_for >= LAUNCH_GRACE else Verdict.KEEP
    match run.status:
        case RunStatus.FAILURE:
            return Verdict.LOST
        case RunStatus.CANCELED:
            return Verdict.CANCEL
        case RunStatus.SUCCESS:
            return Verdict.UNPUBLISHED
        case _:
            return Verdict.KEEP


def reconcile(store: Store, warehouse: Warehouse, execution: Execution, run: RunView | None) -> Execution:
    """Bring an execution in line with its run; answers it as it is then. Changes nothing in a final state.

    What passed the fence and was published is a success, whatever became of the run.
    """
    need = verdict(execution, run, timedelta(0))
    if need in (Verdict.KEEP, Verdict.LAUNCH):
        return execution
    # The worker may have ended it since `execution` was read.
    current = store.executions.get(execution.execution_id)
    if not current.status.is_final and not settle_published(store, warehouse, current):
        _end(store, current, need, run)
    return store.executions.get(execution.execution_id)


def _end(store: Store, execution: Execution, need: Verdict, run: RunView | None) -> None:
    if need is Verdict.CANCEL:
        if store.executions.cancel(execution.execution_id, CANCELLED_BY_USER) is CancelOutcome.TOO_LATE:
            _fail(store, execution, Cancelled(CANCELLED_BY_USER))
    elif need is Verdict.UNPUBLISHED:
        _fail(store, execution, UnexpectedFailure("The run ended without publishing: only some of its steps were run"))
    else:
        _fail(store, execution, WorkerLost(_loss(execution, run)))


def _fail(store: Store, execution: Execution, error: IngestionError) -> None:
    running = [task for task in store.executions.all_tasks(execution.execution_id) if task.status is TaskStatus.RUNNING]
    details = ErrorDetails(
        error_code=error.code, error_message=error.message, task_id=running[0].task_id if running else None
    )
    store.executions.fail(execution.execution_id, details)


def _loss(execution: Execution, run: RunView | None) -> str:
    if run is None:
        return f"The run '{execution.dagster_run_id}' does not exist any more; nothing was published"
    if execution.status is ExecutionStatus.PENDING:
        return f"The run '{run.run_id}' failed before it began to work; nothing was published"
    return f"The process of run '{run.run_id}' was lost; nothing was published"
