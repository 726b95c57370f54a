"""Warehouses behind one protocol: stage rows beside the target, audit them, publish them at once."""

from __future__ import annotations

from ingestion.settings import Settings
from ingestion.warehouses.base import (
    CursorState,
    LoadRequest,
    PublishRequest,
    PublishResult,
    QuarantinePage,
    TargetState,
    TargetTable,
    Warehouse,
)
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion.warehouses.duckdb_file import DEFAULT_WAIT_SECONDS

__all__ = [
    "CursorState",
    "LoadRequest",
    "PublishRequest",
    "PublishResult",
    "QuarantinePage",
    "TargetState",
    "TargetTable",
    "Warehouse",
    "open_warehouse",
]


def open_warehouse(settings: Settings, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> Warehouse:
    """The warehouse this deployment loads into. Opens nothing yet; waits `wait_seconds` for data in use."""
    if settings.warehouse == "bigquery":
        from ingestion.warehouses.bigquery.warehouse import BigQueryWarehouse

        return BigQueryWarehouse(settings)
    return DuckDBWarehouse(settings.warehouse_dir, wait_seconds)
