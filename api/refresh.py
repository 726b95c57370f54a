"""Bringing unfinished executions up to what Dagster knows of their runs, before they are shown."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from anyio import to_thread

from api.dagster_port import DagsterPort
from ingestion.errors import IngestionError
from ingestion.model.execution import Execution
from ingestion.orchestration.dagster_api import RunView
from ingestion.orchestration.reconcile import reconcile
from ingestion.store import Store
from ingestion.warehouses.base import Warehouse

logger = logging.getLogger("ingestion.api")


class Refresher:
    """One batched question to Dagster for all unfinished executions of a page."""

    def __init__(self, store: Store, dagster: DagsterPort, warehouse: Warehouse) -> None:
        self._store = store
        self._dagster = dagster
        self._warehouse = warehouse

    async def refreshed(self, executions: Sequence[Execution]) -> Sequence[Execution]:
        """The executions in their order, unfinished ones reconciled. Without Dagster they are shown as stored."""
        run_ids = [e.dagster_run_id for e in executions if not e.status.is_final and e.dagster_run_id is not None]
        if not run_ids:
            return executions
        try:
            runs = await self._dagster.runs(run_ids)
        except IngestionError as error:
            logger.warning("Dagster cannot tell about %d runs: %s", len(run_ids), error.message)
            return executions
        return [await self._reconciled(e, runs.get(e.dagster_run_id or "")) for e in executions]

    async def _reconciled(self, execution: Execution, run: RunView | None) -> Execution:
        if execution.status.is_final or execution.dagster_run_id is None:
            return execution
        bring_in_line = partial(reconcile, self._store, self._warehouse, execution, run)
        try:
            return await to_thread.run_sync(bring_in_line)
        except IngestionError as error:
            logger.warning("execution %s is not reconciled: %s", execution.execution_id, error.message)
            return execution
