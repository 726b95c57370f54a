"""The publish transaction of a DuckDB dataset: rows, quarantine, cursor, files and load record at once.

Everything is counted inside the transaction and has to add up before the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from ingestion.errors import TargetFailed
from ingestion.model.load import WriteDisposition
from ingestion.warehouses import bookkeeping, resolution, tables
from ingestion.warehouses.base import PublishRequest, PublishResult
from ingestion.warehouses.rejecting import BadRows
from ingestion.warehouses.writing import TargetWriter


def publish(connection: duckdb.DuckDBPyConnection, request: PublishRequest) -> PublishResult:
    """Publish in one transaction, or answer what the execution has already published."""
    connection.begin()
    try:
        bookkeeping.prepare(connection)
        earlier = bookkeeping.load_record(connection, request.execution_id)
        if earlier is not None:
            connection.rollback()
            return earlier
        result = _Publication(connection, request).write()
        commit(connection)
    except BaseException:
        undo(connection)
        raise
    return result


def commit(connection: duckdb.DuckDBPyConnection) -> None:
    """The one instant at which a load becomes visible."""
    connection.commit()


def undo(connection: duckdb.DuckDBPyConnection) -> None:
    """Roll back what is still open."""
    try:
        connection.rollback()
    except duckdb.TransactionException:
        return  # Nothing is open any more: a failed commit has rolled back itself.


class _Publication:
    """One publish while its transaction is open."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, request: PublishRequest) -> None:
        self.connection = connection
        self.request = request
        self.target = tables.target_name(request.target)
        self.staging = tables.staging_name(request.execution_id, request.target)
        self.rejects = tables.rejects_name(request.execution_id, request.target)
        self.writer = TargetWriter(connection, request, self.staging)

    def write(self) -> PublishResult:
        """Everything between BEGIN and COMMIT."""
        request, writer = self.request, self.writer
        self._check_cursor()
        replaces = request.disposition is WriteDisposition.WRITE_TRUNCATE and request.schema.fields
        if request.extracted == 0 and not replaces:
            return self._record_nothing()
        self._check_staging()
        staged = tables.count(self.connection, self.staging)
        writer.judge()
        deduplicated = request.deduplicated + self._verdicts(resolution.DEDUPLICATED)
        filtered = request.filtered + self._verdicts(resolution.FILTERED)
        quarantined = BadRows(self.connection, request, self.staging, self.rejects).settle()
        loaded = writer.write(staged)
        result = PublishResult(
            loaded=loaded,
            quarantined=quarantined,
            deduplicated=deduplicated,
            filtered=filtered,
            extracted=request.extracted,
            target_rows=tables.count(self.connection, self.target) if writer.has_target else 0,
            details=self._details(staged),
        )
        self._check_sum(result)
        self._record(result)
        self.connection.execute(f"DROP TABLE {self.staging}")
        self.connection.execute(f"DROP TABLE {self.rejects}")
        return result

    def _record_nothing(self) -> PublishResult:
        """Nothing was read: the load is on record, the target stays untouched."""
        rows = self.writer.rows_before
        result = PublishResult(0, 0, 0, 0, 0, target_rows=rows, details=self._details(staged=0))
        self._record(result)
        return result

    def _check_staging(self) -> None:
        request = self.request
        names = (f"{request.target.table}__{request.execution_id}{end}" for end in ("", "__rejects"))
        if not all(tables.exists(self.connection, "_staging", name) for name in names):
            raise TargetFailed(f"the execution {request.execution_id} has no staged rows for {self.target}")

    def _check_cursor(self) -> None:
        """The rows were extracted from a cursor; if another load has moved it since, they are not the next ones."""
        request = self.request
        if request.cursor is None or not self.writer.has_target:
            return
        stored = bookkeeping.stored_cursor(self.connection, request.pipeline_id, request.target)
        now = stored.value if stored and stored.key == request.cursor.key else None
        then = request.cursor_before.value if request.cursor_before else None
        if now != then:
            raise TargetFailed(
                f"the cursor {request.cursor.key} moved from {then} to {now} since the rows were extracted",
                expected=then,
                found=now,
            )

    def _verdicts(self, verdicts: tuple[str, ...]) -> int:
        listed = resolution.verdict_list(verdicts)
        return tables.count(self.connection, f"{resolution.VERDICTS} WHERE verdict IN ({listed})")

    def _check_sum(self, result: PublishResult) -> None:
        parts = result.loaded + result.quarantined + result.deduplicated + result.filtered
        if parts != result.extracted:
            raise TargetFailed(
                f"the rows do not add up: {result.extracted} extracted, but {result.loaded} loaded, "
                f"{result.quarantined} quarantined, {result.deduplicated} deduplicated and {result.filtered} filtered"
            )

    def _details(self, staged: int) -> Mapping[str, Any]:
        layout = self.request.layout
        partition = (
            {"partition_field": layout.partition_field, "partition_type": layout.partition_type}
            if layout.partition_field
            else {}
        )
        return {
            "staged": staged,
            "rows_before": self.writer.rows_before,
            "key": list(self.request.key),
            "objects": len(self.request.objects),
            **self.writer.details,
            **partition,
            **({"clustering_fields": list(layout.clustering)} if layout.clustering else {}),
        }

    def _record(self, result: PublishResult) -> None:
        request = self.request
        bookkeeping.record_load(self.connection, request, result)
        if request.cursor is not None:
            bookkeeping.move_cursor(self.connection, request, request.cursor)
        if request.forgets_objects:
            bookkeeping.forget_objects(self.connection, request.target)
        bookkeeping.record_objects(self.connection, request, request.objects)
