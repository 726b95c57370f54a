"""Quarantined rows: read and given up. Replaying them is an execution, see ExecutionService."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.services.target_calls import refuse_while_running, target_failures, target_of
from api.wire.checking import checked
from api.wire.quarantine import Discard, RecordsWanted
from ingestion.model.quarantine import QuarantineSelection, QuarantineStatus
from ingestion.store import Page, Store
from ingestion.warehouses import QuarantinePage, Warehouse


def selection_of(pipeline_id: str, wanted: RecordsWanted) -> QuarantineSelection:
    """The OPEN rows a request means."""
    ids = None if wanted.record_ids is None else tuple(dict.fromkeys(wanted.record_ids))
    return QuarantineSelection(pipeline_id, ids, wanted.execution_id, wanted.error_code, QuarantineStatus.OPEN)


class QuarantineService:
    """What the endpoints of the quarantine do, but for the replay."""

    def __init__(self, store: Store, warehouse: Warehouse) -> None:
        self._store = store
        self._warehouse = warehouse

    def list(
        self,
        pipeline_id: str,
        page: Page,
        execution_id: str | None,
        error_code: str | None,
        status: QuarantineStatus | None,
    ) -> QuarantinePage:
        """One page of a pipeline's quarantined rows, the latest first. Raises NotFound, ServiceUnavailable."""
        pipeline = self._store.pipelines.get(pipeline_id)
        selection = QuarantineSelection(pipeline_id, execution_id=execution_id, error_code=error_code, status=status)
        with target_failures():
            return self._warehouse.quarantined(target_of(pipeline), selection, (page.number - 1) * page.size, page.size)

    def open_rows(self, selection: QuarantineSelection) -> int:
        """How many rows a replay of the selection would take. Raises NotFound, ServiceUnavailable."""
        pipeline = self._store.pipelines.get(selection.pipeline_id)
        with target_failures():
            return self._warehouse.quarantined(target_of(pipeline), selection.only_open(), 0, 1).total

    def discard(self, pipeline_id: str, body: Mapping[str, Any], by: str) -> int:
        """Give up OPEN rows; how many were. Raises NotFound, InvalidRequest, AlreadyRunning, ServiceUnavailable."""
        pipeline = self._store.pipelines.get(pipeline_id)
        selection = selection_of(pipeline_id, checked(Discard, body))
        refuse_while_running(self._store, pipeline_id)
        with target_failures():
            return self._warehouse.discard_quarantined(target_of(pipeline), selection, by)
