"""Loads into a warehouse without the steps: rows in, result out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingestion.model.load import WriteDisposition
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.steps.replaying import without_record
from ingestion.warehouses.base import LoadRequest, PublishRequest, PublishResult, TargetTable, Warehouse
from ingestion_tests.steps.workbench import write_parquet

TARGET = TargetTable("ds", "Orders")
_REJECTS = TableSchema(fields=tuple(SchemaField(name=name, type=FieldType.STRING) for name in REJECT_COLUMNS))


def stage(
    warehouse: Warehouse,
    folder: Path,
    execution_id: str,
    schema: TableSchema,
    rows: Sequence[Mapping[str, Any]],
    target: TargetTable = TARGET,
    rejects: Sequence[Mapping[str, Any]] = (),
) -> int:
    """Stage the rows, and the rejected ones."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{execution_id}.parquet"
    write_parquet(path, schema, rows)
    bad = [folder / f"{execution_id}-rejects.parquet"] if rejects else []
    for file in bad:
        write_parquet(file, _REJECTS, [{**dict.fromkeys(REJECT_COLUMNS), **reject} for reject in rejects])
    return warehouse.stage(LoadRequest(execution_id, "p", target, schema, [path], bad))


def load(
    warehouse: Warehouse,
    folder: Path,
    execution_id: str,
    schema: TableSchema,
    rows: Sequence[Mapping[str, Any]],
    disposition: WriteDisposition = WriteDisposition.WRITE_TRUNCATE,
    target: TargetTable = TARGET,
    rejects: Sequence[Mapping[str, Any]] = (),
    **how: Any,
) -> PublishResult:
    """Stage and publish the rows; the columns written are those of the rows themselves."""
    extracted = stage(warehouse, folder, execution_id, schema, rows, target, rejects) + len(rejects)
    return warehouse.publish(
        PublishRequest(execution_id, "p", target, without_record(schema), disposition, extracted=extracted, **how)
    )
