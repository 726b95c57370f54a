"""Loads into a warehouse without the steps: rows in, result out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingestion.model.load import WriteDisposition
from ingestion.model.schema import TableSchema
from ingestion.warehouses.base import LoadRequest, PublishRequest, PublishResult, TargetTable, Warehouse
from ingestion_tests.steps.workbench import write_parquet

TARGET = TargetTable("ds", "Orders")


def stage(
    warehouse: Warehouse,
    folder: Path,
    execution_id: str,
    schema: TableSchema,
    rows: Sequence[Mapping[str, Any]],
    target: TargetTable = TARGET,
) -> int:
    """Stage the rows."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{execution_id}.parquet"
    write_parquet(path, schema, rows)
    return warehouse.stage(LoadRequest(execution_id, "p", target, schema, [path], []))


def load(
    warehouse: Warehouse,
    folder: Path,
    execution_id: str,
    schema: TableSchema,
    rows: Sequence[Mapping[str, Any]],
    disposition: WriteDisposition = WriteDisposition.WRITE_TRUNCATE,
    target: TargetTable = TARGET,
    **how: Any,
) -> PublishResult:
    """Stage and publish the rows."""
    staged = stage(warehouse, folder, execution_id, schema, rows, target)
    return warehouse.publish(PublishRequest(execution_id, "p", target, schema, disposition, extracted=staged, **how))
