"""What the service knows: sources, pipelines with revisions, executions, tasks, claims and idempotency keys."""

from __future__ import annotations

from ingestion.store.acceptance import NewExecution, pending_execution
from ingestion.store.executions import CancelOutcome, ExecutionRepository
from ingestion.store.idempotency import IdempotencyRepository, Reservation, StoredAnswer
from ingestion.store.pipelines import PipelineRepository, PipelineRow
from ingestion.store.rows import Page, Rows
from ingestion.store.sources import SourceRepository
from ingestion.store.store import Store

__all__ = [
    "CancelOutcome",
    "ExecutionRepository",
    "IdempotencyRepository",
    "NewExecution",
    "Page",
    "PipelineRepository",
    "PipelineRow",
    "Reservation",
    "Rows",
    "SourceRepository",
    "Store",
    "StoredAnswer",
    "pending_execution",
]
