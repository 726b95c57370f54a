"""DuckDB as the warehouse: a dataset is a file, its tables are in schema `main`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ingestion.errors import TargetFailed
from ingestion.formats.types import duckdb_type, quoted
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.model.quarantine import QuarantineSelection
from ingestion.model.schema import TableSchema
from ingestion.quality.runner import run_checks
from ingestion.sources.base import REJECT_COLUMNS, Cursor
from ingestion.sql import column_list, parquet_relation
from ingestion.warehouses import bookkeeping, cursors, publishing, quarantine, tables
from ingestion.warehouses.base import (
    CursorState,
    LoadRequest,
    PublishRequest,
    PublishResult,
    QuarantinePage,
    TargetState,
    TargetTable,
)
from ingestion.warehouses.duckdb_file import DEFAULT_WAIT_SECONDS, opened


class DuckDBWarehouse:
    """The datasets of one folder. Holds no connection between calls; waits `wait_seconds` for a busy file."""

    def __init__(self, folder: Path, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        self._folder = folder
        self._wait_seconds = wait_seconds

    def path(self, dataset: str) -> Path:
        """The file of a dataset."""
        return self._folder / f"{dataset}.duckdb"

    def state(self, pipeline_id: str, target: TargetTable) -> TargetState:
        """The target as it is now; nothing is made when it is not there."""
        nothing = TargetState(schema=None, row_count=0, cursor=None, loaded_objects=frozenset())
        if not self.path(target.dataset).exists():
            return nothing
        with self._opened(target, read_only=True) as connection:
            last = None
            has_loads = bookkeeping.is_prepared(connection)
            if has_loads:
                last = bookkeeping.last_execution(connection, pipeline_id, target)
            if not tables.exists(connection, "main", target.table):
                return TargetState(None, 0, None, frozenset(), last_execution_id=last)
            name = tables.target_name(target)
            return TargetState(
                schema=tables.schema_of(connection, name),
                row_count=tables.count(connection, name),
                cursor=bookkeeping.stored_cursor(connection, pipeline_id, target) if has_loads else None,
                loaded_objects=bookkeeping.loaded_objects(connection, pipeline_id, target)
                if has_loads
                else frozenset(),
                last_execution_id=last,
            )

    def stage(self, request: LoadRequest) -> int:
        """Write the rows beside the target, replacing what an earlier attempt of the execution staged."""
        staging = tables.staging_name(request.execution_id, request.target)
        rejects = tables.rejects_name(request.execution_id, request.target)
        with self._opened(request.target, read_only=False) as connection:
            connection.begin()
            bookkeeping.prepare(connection)
            connection.execute(f"CREATE OR REPLACE TABLE {staging} AS {_rows(request.schema, request.files)}")
            connection.execute(f"CREATE OR REPLACE TABLE {rejects} AS {_reject_rows(request.rejects)}")
            staged = tables.count(connection, staging)
            connection.commit()
        return staged

    def audit(self, execution_id: str, target: TargetTable, checks: Sequence[CheckSpec]) -> Sequence[CheckResult]:
        """Run the checks on the staging table."""
        with self._opened(target, read_only=True) as connection:
            self._require_staging(connection, execution_id, target)
            name = tables.staging_name(execution_id, target)
            return run_checks(connection, name, tables.schema_of(connection, name), checks)

    def publish(self, request: PublishRequest) -> PublishResult:
        """Make the staged rows and everything about them visible in one transaction; idempotent by execution."""
        with self._opened(request.target, read_only=False) as connection:
            return publishing.publish(connection, request)

    def published(self, execution_id: str, target: TargetTable) -> PublishResult | None:
        """The load record of an execution."""
        if not self.path(target.dataset).exists():
            return None
        with self._opened(target, read_only=True) as connection:
            if not bookkeeping.is_prepared(connection):
                return None
            return bookkeeping.load_record(connection, execution_id)

    def discard(self, execution_id: str, target: TargetTable) -> None:
        """Drop what the execution staged, if it is there."""
        if not self.path(target.dataset).exists():
            return
        with self._opened(target, read_only=False) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {tables.staging_name(execution_id, target)}")
            connection.execute(f"DROP TABLE IF EXISTS {tables.rejects_name(execution_id, target)}")

    def quarantined(
        self, target: TargetTable, selection: QuarantineSelection, offset: int, limit: int
    ) -> QuarantinePage:
        """Quarantined rows, the latest first."""
        if not self._has_quarantine(target):
            return QuarantinePage((), 0)
        with self._opened(target, read_only=True) as connection:
            return quarantine.page(connection, target, selection, offset, limit)

    def export_quarantine(self, target: TargetTable, selection: QuarantineSelection, path: Path) -> int:
        """Write the selected rows to a Parquet file."""
        if not self._has_quarantine(target):
            return 0
        with self._opened(target, read_only=True) as connection:
            return quarantine.export(connection, target, selection, path)

    def discard_quarantined(self, target: TargetTable, selection: QuarantineSelection, by: str) -> int:
        """Give up the OPEN ones of the selected rows."""
        if not self._has_quarantine(target):
            return 0
        with self._opened(target, read_only=False) as connection:
            return quarantine.discard(connection, target, selection, by)

    def cursor_state(self, pipeline_id: str, target: TargetTable) -> CursorState:
        """The pipeline's cursor and how it came about."""
        if not self.path(target.dataset).exists():
            return CursorState()
        with self._opened(target, read_only=True) as connection:
            if not bookkeeping.is_prepared(connection) or not tables.exists(connection, "main", target.table):
                return CursorState()
            return cursors.read_state(connection, pipeline_id, target)

    def set_cursor(
        self, pipeline_id: str, target: TargetTable, cursor: Cursor | None, *, by: str, version: str
    ) -> CursorState:
        """Set or reset the cursor in one transaction."""
        with self._opened(target, read_only=False) as connection:
            connection.begin()
            try:
                state = cursors.set_cursor(connection, pipeline_id, target, cursor, by, version)
                publishing.commit(connection)
            except BaseException:
                publishing.undo(connection)
                raise
            return state

    def _has_quarantine(self, target: TargetTable) -> bool:
        """Whether there is a quarantine; one of an earlier version is brought up to date first."""
        if not self.path(target.dataset).exists():
            return False
        with self._opened(target, read_only=True) as connection:
            if not quarantine.exists(connection, target):
                return False
            is_current = quarantine.is_current(connection, target)
        if not is_current:
            with self._opened(target, read_only=False) as connection:
                connection.begin()
                quarantine.prepare(connection, target)
                connection.commit()
        return True

    def _require_staging(self, connection: duckdb.DuckDBPyConnection, execution_id: str, target: TargetTable) -> None:
        if not tables.exists(connection, "_staging", f"{target.table}__{execution_id}"):
            raise TargetFailed(f"the execution {execution_id} has no staged rows for {target.dataset}.{target.table}")

    @contextmanager
    def _opened(self, target: TargetTable, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        path = self.path(target.dataset)
        try:
            with opened(path, read_only=read_only, wait_seconds=self._wait_seconds) as connection:
                yield connection
        except duckdb.Error as error:
            table = f"{target.dataset}.{target.table}"
            raise TargetFailed(f"the warehouse refused the work on {table} in {path.parent}: {error}") from error


def _rows(schema: TableSchema, files: Sequence[Path]) -> str:
    """A SELECT of the staged files' rows in the schema's names and types, numbered where a column hides rowid."""
    number = tables.row_number(schema)
    numbered = f", row_number() OVER () - 1 AS {number}" if number == tables.ROW_NUMBER_COLUMN else ""
    if not files:
        columns = _nothing((field.name, duckdb_type(field)) for field in schema.fields)
        return f"SELECT {columns}{numbered} WHERE false"
    columns = ", ".join(
        f"CAST({quoted(field.name)} AS {duckdb_type(field)}) AS {quoted(field.name)}" for field in schema.fields
    )
    return f"SELECT {columns}{numbered} FROM {parquet_relation(files)}"


def _reject_rows(files: Sequence[Path]) -> str:
    if not files:
        return f"SELECT {_nothing(iter(REJECT_COLUMNS.items()))} WHERE false"
    return f"SELECT {column_list(REJECT_COLUMNS)} FROM {parquet_relation(files)}"


def _nothing(columns: Iterator[tuple[str, str]]) -> str:
    return ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns)
