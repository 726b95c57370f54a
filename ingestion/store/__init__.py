"""What the service knows: sources, pipelines with their revisions, executions, tasks and claims."""

from __future__ import annotations

from ingestion.store.acceptance import NewExecution
from ingestion.store.executions import CancelOutcome, ExecutionRepository
from ingestion.store.pipelines import PipelineRepository, PipelineRow
from ingestion.store.rows import Page, Rows
from ingestion.store.sources import SourceRepository
from ingestion.store.store import Store

__all__ = [
    "CancelOutcome",
    "ExecutionRepository",
    "NewExecution",
    "Page",
    "PipelineRepository",
    "PipelineRow",
    "Rows",
    "SourceRepository",
    "Store",
]
