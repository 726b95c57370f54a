"""A source made of Python rows that stages real Parquet, and a bench that runs the steps against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.formats.staged import REJECT_COLUMNS, StagedFile, staged_file
from ingestion.formats.types import arrow_type
from ingestion.model.execution import Execution, ExecutionStatus, PublishState, Trigger
from ingestion.model.extraction import DatabaseExtraction
from ingestion.model.pipeline import Pipeline
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.settings import Settings
from ingestion.sources.base import (
    ConnectionReport,
    Cursor,
    Extraction,
    ExtractionRequest,
    ObjectDescription,
    ObjectVersion,
    Progress,
)
from ingestion.steps import (
    StepContext,
    StepOutcome,
    ValidationOutcome,
    extract,
    load,
    publish,
    transform,
    validate,
)
from ingestion.warehouses.base import PublishResult, TargetState, TargetTable
from ingestion.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2023, 6, 15, 17, 30, tzinfo=UTC)
Row = Mapping[str, Any]


def table_schema(**columns: str) -> TableSchema:
    """A schema of NULLABLE columns: `table_schema(id="INTEGER")`."""
    return TableSchema(fields=tuple(SchemaField(name=name, type=FieldType(kind)) for name, kind in columns.items()))


@dataclass
class RowsConnector:
    """Rows per object (or one nameless table), and `bad` ones that cannot be read."""

    schema: TableSchema
    objects: Mapping[str, Sequence[Row]]
    bad: int = 0
    keys: tuple[str, ...] = ()
    generation: str = "1"
    reads: int = 0
    requests: list[ExtractionRequest] = field(default_factory=list)

    def check(self, timeout_seconds: float) -> ConnectionReport:
        return ConnectionReport(True, {}, {})

    def describe(self, object_name: str, sample_rows: int) -> ObjectDescription:
        return ObjectDescription(object_name, self.schema, [])

    def extract(self, request: ExtractionRequest) -> Extraction:
        self.reads += 1
        self.requests.append(request)
        skipped = {item.name for item in request.skip_objects}
        names = [name for name in self.objects if name not in skipped]
        rows = [row for name in names for row in self.objects[name]]
        key = request.params.incremental_key if isinstance(request.params, DatabaseExtraction) else None
        if request.cursor is not None and key is not None:
            rows = [row for row in rows if row[key] is None or row[key] >= _typed(request.cursor.value, rows, key)]
        request.progress({"rows_extracted": len(rows)})
        files = (write_parquet(request.folder / "part.parquet", self.schema, rows),) if rows else ()
        rejects = (write_rejects(request.folder / "bad.parquet", self.bad),) if self.bad else ()
        greatest = max((row[key] for row in rows if row[key] is not None), default=None) if key else None
        return Extraction(
            schema=self.schema,
            files=files,
            rejects=rejects,
            rows=len(rows),
            rejected=self.bad,
            bytes_read=sum(file.size_bytes for file in files),
            objects=[ObjectVersion(name, self.generation, 1) for name in names if name],
            skipped_objects=len(self.objects) - len(names),
            keys=self.keys,
            cursor=Cursor(key, str(greatest)) if key and greatest is not None else request.cursor,
            task_params={"bucket": "b", "object": ", ".join(names), "destination": str(request.folder)},
        )


SCHEMA = table_schema(id="INTEGER", name="STRING")
ROWS: Sequence[Row] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def rows_connector(*rows: Mapping[str, Any], bad: int = 0) -> RowsConnector:
    """A file of rows of SCHEMA."""
    return RowsConnector(SCHEMA, {"f.csv": rows or ROWS}, bad=bad)


def _typed(value: str, rows: Sequence[Row], key: str) -> Any:
    return int(value) if any(isinstance(row[key], int) for row in rows) else value


def write_parquet(path: Path, schema: TableSchema, rows: Sequence[Row]) -> StagedFile:
    """The rows as a Parquet file of the schema."""
    columns = pa.schema([(column.name, arrow_type(column)) for column in schema.fields])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=columns), path)
    return staged_file(path, len(rows))


def write_rejects(path: Path, count: int) -> StagedFile:
    """A reject file with `count` rows."""
    rows = [
        dict.fromkeys(REJECT_COLUMNS, None) | {"position": f"line {n + 1}", "stage": "extract", "error_code": "BAD"}
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in REJECT_COLUMNS])), path)
    return staged_file(path, count)


def ignore(metrics: Mapping[str, Any]) -> None:
    """Progress that nobody looks at."""


class Bench:
    """One home, one pipeline and its target `ds.t`."""

    def __init__(self, home: Path, configuration: Mapping[str, Any] | None = None) -> None:
        self.settings = Settings(home=home)
        self.warehouse = DuckDBWarehouse(self.settings.warehouse_dir, wait_seconds=5)
        self.target = TargetTable("ds", "t")
        self.configuration = dict(configuration or {})
        self.revision = 1

    def context(
        self,
        connector: RowsConnector,
        execution_id: str = "e1",
        params: Mapping[str, Any] | None = None,
        is_forced: bool = False,
        progress: Progress = ignore,
    ) -> StepContext:
        source_type = SourceType.CLOUD_SQL if self._is_database() else SourceType.GCS
        return StepContext(
            execution=_execution(execution_id, source_type, params, is_forced),
            pipeline=_pipeline(self.configuration, self.revision),
            source=_source(source_type),
            settings=self.settings,
            connector=connector,
            warehouse=self.warehouse,
            progress=progress,
        )

    def run(
        self,
        connector: RowsConnector,
        execution_id: str = "e1",
        params: Mapping[str, Any] | None = None,
        is_forced: bool = False,
    ) -> PublishResult:
        """All steps and the publish."""
        return run_steps(self.context(connector, execution_id, params, is_forced))

    def state(self) -> TargetState:
        return self.warehouse.state("p", self.target)

    def rows(self, query: str = "FROM main.t") -> list[tuple[Any, ...]]:
        """What a query over the dataset answers; nothing when there is no such file or table."""
        path = self.warehouse.path("ds")
        if not path.exists():
            return []
        with duckdb.connect(str(path), read_only=True) as connection:
            try:
                return connection.execute(query).fetchall()
            except duckdb.CatalogException:
                return []

    def everything(self) -> Mapping[str, list[tuple[Any, ...]]]:
        """All that a publish may change, to compare before and after."""
        queries = {
            "target": "SELECT * FROM main.t ORDER BY ALL",
            "columns": "DESCRIBE main.t",
            "quarantine": "SELECT * FROM main.t__quarantine ORDER BY ALL",
            "loads": "SELECT * FROM _ingestion.loads ORDER BY ALL",
            "cursors": "SELECT * FROM _ingestion.cursors ORDER BY ALL",
            "objects": "SELECT * FROM _ingestion.loaded_objects ORDER BY ALL",
        }
        return {name: self.rows(query) for name, query in queries.items()}

    def _is_database(self) -> bool:
        params = self.configuration.get("extraction_params") or {}
        return bool({"table", "query", "incremental_key"} & set(params))


def run_steps(ctx: StepContext) -> PublishResult:
    """The four steps and the publish."""
    prepare(ctx)
    return publish(ctx)


def prepare(ctx: StepContext) -> tuple[StepOutcome, StepOutcome, StepOutcome, ValidationOutcome]:
    """Everything before the publish."""
    return extract(ctx), transform(ctx), load(ctx), validate(ctx)


def with_progress(ctx: StepContext, progress: Progress) -> StepContext:
    """The same context with another progress."""
    return replace(ctx, progress=progress)


def _execution(
    execution_id: str, source_type: SourceType, params: Mapping[str, Any] | None, is_forced: bool
) -> Execution:
    return Execution(
        execution_id=execution_id,
        pipeline_id="p",
        pipeline_revision=1,
        dag_id="gcs_to_bq_t",
        source_type=source_type,
        status=ExecutionStatus.RUNNING,
        trigger=Trigger.API,
        execution_params=dict(params) if params else None,
        retry_of_execution_id=None,
        dag_run_id="gcs_to_bq_t_20230615T173000",
        dagster_run_id=None,
        is_queued=False,
        is_forced=is_forced,
        publish_state=PublishState.OPEN,
        start_time=NOW,
        end_time=None,
        records_processed=None,
        metrics=None,
        error_details=None,
        created_by="someone@example.com",
    )


def _pipeline(configuration: Mapping[str, Any], revision: int) -> Pipeline:
    return Pipeline(
        pipeline_id="p",
        pipeline_name="Pipeline",
        source_id="s",
        target_dataset="ds",
        target_table="t",
        dag_id="gcs_to_bq_t",
        configuration=dict(configuration),
        description=None,
        is_active=True,
        created_at=NOW,
        updated_at=NOW,
        created_by="someone@example.com",
        updated_by="someone@example.com",
        revision=revision,
    )


def _source(source_type: SourceType) -> Source:
    details = {"bucket_name": "b"} if source_type is SourceType.GCS else {"host": "h", "database": "d"}
    return Source(
        source_id="s",
        name="Source",
        source_type=source_type,
        connection_details=details,
        schema_version="1.0",
        description=None,
        is_active=True,
        created_at=NOW,
        updated_at=NOW,
        created_by="someone@example.com",
        updated_by="someone@example.com",
        status=SourceStatus.UNKNOWN,
        version=1,
    )
