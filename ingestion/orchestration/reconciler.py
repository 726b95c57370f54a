"""The loop that keeps executions true: reconciles the unfinished, starts the queued and the forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from ingestion import clock
from ingestion.errors import IngestionError, ServiceUnavailable
from ingestion.model.execution import Execution
from ingestion.orchestration.dagster_api import DagsterApi, RunView
from ingestion.orchestration.launch import find_or_launch_execution, launch_execution
from ingestion.orchestration.reconcile import Verdict, reconcile, verdict
from ingestion.store import Store
from ingestion.warehouses.base import Warehouse

INTERVAL_SECONDS = 1.5
LOOK_SECONDS = 1.0
"""How long to wait for a dataset that somebody holds, before the next turn asks again."""

_Launch = Callable[[Store, DagsterApi, Execution], Awaitable[None]]

logger = logging.getLogger("ingestion.reconciler")


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
            await self._launch(execution, launch_execution)
        unfinished = await asyncio.to_thread(self._store.executions.unfinished)
        self._forget_all_but(unfinished)
        run_ids = [execution.dagster_run_id for execution in unfinished if execution.dagster_run_id is not None]
        runs = await self._dagster.runs(run_ids)
        for execution in unfinished:
            await self._look_at(execution, runs.get(execution.dagster_run_id or ""))

    async def _look_at(self, execution: Execution, run: RunView | None) -> None:
        need = verdict(execution, run, self._unlaunched_for(execution))
        if need is Verdict.LAUNCH:
            # Whoever launched it may have died before noting the run.
            await self._launch(execution, find_or_launch_execution)
        elif need is not Verdict.KEEP:
            await self._bring_in_line(execution, run)

    async def _bring_in_line(self, execution: Execution, run: RunView | None) -> None:
        try:
            ended = await asyncio.to_thread(reconcile, self._store, self._warehouse, execution, run)
        except ServiceUnavailable:
            raise
        except IngestionError as error:
            # Such as a dataset in use. The executions behind this one do not wait for it.
            logger.warning("execution %s is not reconciled yet: %s", execution.execution_id, error.message)
        else:
            logger.info("execution %s is %s by the state of its run", ended.execution_id, ended.status)

    async def _launch(self, execution: Execution, launch: _Launch) -> None:
        try:
            await launch(self._store, self._dagster, execution)
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
