"""The loop that keeps executions true: reconciles the unfinished, starts the queued and the forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ingestion import clock
from ingestion.errors import IngestionError, InvalidState, LaunchFailed, ServiceUnavailable
from ingestion.model.execution import ErrorDetails, Execution
from ingestion.orchestration import tags
from ingestion.orchestration.dagster_api import DagsterApi, RunView
from ingestion.orchestration.reconcile import Verdict, reconcile, verdict
from ingestion.store import Store
from ingestion.warehouses.base import Warehouse

INTERVAL_SECONDS = 1.5

logger = logging.getLogger("ingestion.reconciler")


async def launch_execution(store: Store, dagster: DagsterApi, execution: Execution) -> Execution:
    """Launch the run of an accepted execution; answers the execution with its run.

    Raises LaunchFailed after failing the execution, and ServiceUnavailable while Dagster is away: then the
    execution stays PENDING and the reconciler launches it later.
    """
    parent = None
    if execution.retry_of_execution_id is not None:
        parent = (await asyncio.to_thread(store.executions.get, execution.retry_of_execution_id)).dagster_run_id
    try:
        run_id = await dagster.launch(
            execution.dag_id, execution.execution_params or {}, execution_tags(execution), parent
        )
    except LaunchFailed as error:
        details = ErrorDetails(error_code=error.code, error_message=error.message)
        await asyncio.to_thread(store.executions.fail, execution.execution_id, details)
        raise
    await _attach(store, execution, run_id)
    return await asyncio.to_thread(store.executions.get, execution.execution_id)


async def _attach(store: Store, execution: Execution, run_id: str) -> None:
    try:
        await asyncio.to_thread(store.executions.attach_run, execution.execution_id, run_id)
    except InvalidState as error:
        # Another process launched it as well, and that run was first; this one will find that out and end.
        logger.info("%s", error.message)


def execution_tags(execution: Execution) -> Mapping[str, str]:
    """The tags of an execution's run."""
    return {
        tags.EXECUTION_ID: execution.execution_id,
        tags.PIPELINE_ID: execution.pipeline_id,
        tags.REVISION: str(execution.pipeline_revision),
    }


class Reconciler:
    """Looks at all unfinished executions again and again. Any number of processes may do so at once."""

    def __init__(
        self, store: Store, warehouse: Warehouse, dagster: DagsterApi, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._store = store
        self._warehouse = warehouse
        self._dagster = dagster
        self._interval_seconds = interval_seconds
        self._without_run: dict[str, datetime] = {}
        self._is_failing = False

    async def run(self) -> None:
        """Until cancelled. An error is logged, once while it lasts, and the next turn tries again."""
        while True:
            try:
                await self.turn()
            except ServiceUnavailable as error:
                self._log_failing(error.message)
            except Exception:
                logger.exception("executions could not be reconciled")
            else:
                self._is_failing = False
            await asyncio.sleep(self._interval_seconds)

    async def turn(self) -> None:
        """One look at everything that is unfinished."""
        for execution in await asyncio.to_thread(self._store.executions.promote_queued):
            await self._launch(execution)
        unfinished = await asyncio.to_thread(self._store.executions.unfinished)
        self._forget_all_but(unfinished)
        run_ids = [execution.dagster_run_id for execution in unfinished if execution.dagster_run_id is not None]
        runs = await self._dagster.runs(run_ids)
        for execution in unfinished:
            await self._look_at(execution, runs.get(execution.dagster_run_id or ""))

    async def _look_at(self, execution: Execution, run: RunView | None) -> None:
        need = verdict(execution, run, self._unlaunched_for(execution))
        if need is Verdict.LAUNCH:
            await self._find_or_launch(execution)
        elif need is not Verdict.KEEP:
            ended = await asyncio.to_thread(reconcile, self._store, self._warehouse, execution, run)
            logger.info("execution %s is %s by the state of its run", ended.execution_id, ended.status)

    async def _find_or_launch(self, execution: Execution) -> None:
        # Whoever launched it may have died before noting the run.
        launched = await self._dagster.runs_tagged(execution.execution_id)
        if launched:
            await _attach(self._store, execution, launched[0].run_id)
        else:
            await self._launch(execution)

    async def _launch(self, execution: Execution) -> None:
        try:
            await launch_execution(self._store, self._dagster, execution)
        except IngestionError as error:
            logger.warning("execution %s is not launched: %s", execution.execution_id, error.message)

    def _unlaunched_for(self, execution: Execution) -> timedelta:
        if execution.dagster_run_id is not None or execution.is_queued:
            return timedelta(0)
        # Since we saw it, not since it was accepted: it may have waited in the queue until a moment ago.
        now = clock.now()
        return now - self._without_run.setdefault(execution.execution_id, now)

    def _forget_all_but(self, unfinished: Sequence[Execution]) -> None:
        kept = {execution.execution_id for execution in unfinished if execution.dagster_run_id is None}
        self._without_run = {key: seen for key, seen in self._without_run.items() if key in kept}

    def _log_failing(self, message: str) -> None:
        if not self._is_failing:
            logger.warning("executions are not reconciled at the moment: %s", message)
        self._is_failing = True
