"""The publish transaction of a DuckDB dataset: rows, quarantine, cursor, files and load record at once.

Everything is counted inside the transaction and has to add up before the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from ingestion import clock
from ingestion.errors import TargetFailed, TooManyBadRecords
from ingestion.formats.rejects import reasons_of
from ingestion.formats.types import duckdb_type, literal, quoted
from ingestion.model.load import WriteDisposition
from ingestion.model.schema import TableSchema
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.sql import column_list
from ingestion.warehouses import bookkeeping, resolution, tables
from ingestion.warehouses.base import PublishRequest, PublishResult

_EXPLANATIONS: Mapping[str, str] = {
    resolution.NULL_KEY: "a value in every column of the key",
    resolution.AMBIGUOUS_KEY: "one latest row per key",
}
# As a column of the same name would hide the row, no ordinary name will do.
_WHOLE_ROW = "_ingestion_row"


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
        _undo(connection)
        raise
    return result


def commit(connection: duckdb.DuckDBPyConnection) -> None:
    """The one instant at which a load becomes visible."""
    connection.commit()


def _undo(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.TransactionException:
        return  # Nothing is open any more: a failed commit has rolled back itself.


@dataclass
class _Publication:
    """One publish while its transaction is open."""

    connection: duckdb.DuckDBPyConnection
    request: PublishRequest

    def __post_init__(self) -> None:
        request = self.request
        self.target = tables.target_name(request.target)
        self.staging = tables.staging_name(request.execution_id, request.target)
        self.rejects = tables.rejects_name(request.execution_id, request.target)
        self.has_target = tables.exists(self.connection, "main", request.target.table)
        self.rows_before = tables.count(self.connection, self.target) if self.has_target else 0

    def write(self) -> PublishResult:
        """Everything between BEGIN and COMMIT."""
        request = self.request
        self._check_cursor()
        replaces = request.disposition is WriteDisposition.WRITE_TRUNCATE and request.schema.fields
        if request.extracted == 0 and not replaces:
            return self._record_nothing()
        self._check_staging()
        staged = tables.count(self.connection, self.staging)
        self._judge()
        deduplicated = request.deduplicated + self._verdicts(resolution.DEDUPLICATED)
        quarantined = self._quarantine()
        self._check_bad_records(quarantined)
        loaded = self._write_rows(staged)
        result = PublishResult(
            loaded=loaded,
            quarantined=quarantined,
            deduplicated=deduplicated,
            filtered=request.filtered,
            extracted=request.extracted,
            target_rows=tables.count(self.connection, self.target) if self.has_target else 0,
            details=self._details(staged),
        )
        self._check_sum(result)
        self._record(result)
        self.connection.execute(f"DROP TABLE {self.staging}")
        self.connection.execute(f"DROP TABLE {self.rejects}")
        return result

    def _record_nothing(self) -> PublishResult:
        """Nothing was read: the load is on record, the target stays untouched."""
        result = PublishResult(0, 0, 0, 0, 0, target_rows=self.rows_before, details=self._details(staged=0))
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
        if request.cursor is None or not self.has_target:
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

    # --- which rows ---

    def _judge(self) -> None:
        request = self.request
        if request.disposition is WriteDisposition.MERGE:
            resolution.judge_merge(self.connection, self.staging, request.schema, request.key, request.latest_by)
        elif request.disposition is WriteDisposition.WRITE_APPEND and request.skip_present and self.has_target:
            there = self._target_schema()
            tables.new_columns(request.schema, there, request.target.table)  # Types before the comparison.
            resolution.judge_append(self.connection, self.staging, request.schema, self.target, there, request.window)
        else:
            resolution.no_verdicts(self.connection)

    def _verdicts(self, verdicts: tuple[str, ...]) -> int:
        listed = resolution.verdict_list(verdicts)
        return tables.count(self.connection, f"{resolution.VERDICTS} WHERE verdict IN ({listed})")

    def _target_schema(self) -> TableSchema:
        return tables.schema_of(self.connection, self.target)

    # --- bad rows ---

    def _quarantine(self) -> int:
        unresolved = self._verdicts(resolution.QUARANTINED)
        total = tables.count(self.connection, self.rejects) + unresolved
        if total == 0:
            return 0
        bookkeeping.prepare_quarantine(self.connection, self.request.target)
        into = (
            f"INSERT INTO {bookkeeping.quarantine_table(self.request.target)} "
            f"({column_list(REJECT_COLUMNS)}, execution_id, pipeline_id, quarantined_at, status)"
        )
        marks = [self.request.execution_id, self.request.pipeline_id, clock.now()]
        written = tables.number(
            self.connection,
            f"{into} SELECT {column_list(REJECT_COLUMNS)}, ?, ?, ?, 'OPEN' FROM {self.rejects}",
            marks,
        )
        if unresolved:
            written += tables.number(self.connection, f"{into} {self._unresolved_rows()}", marks)
        return written

    def _unresolved_rows(self) -> str:
        key = ", ".join(self.request.key).replace("'", "''")
        expected = " ".join(f"WHEN '{verdict}' THEN '{text}'" for verdict, text in _EXPLANATIONS.items())
        key_values = ", ".join(f"CAST({_WHOLE_ROW}.{quoted(name)} AS VARCHAR)" for name in self.request.key)
        return (
            f"SELECT NULL, 'row ' || ({_WHOLE_ROW}.rowid + 1), 'publish', v.verdict, '{key}', "
            f"CASE v.verdict {expected} END, "
            f"concat_ws(', ', {key_values}), CAST(to_json({_WHOLE_ROW}) AS VARCHAR), ?, ?, ?, 'OPEN' "
            f"FROM {self.staging} AS {_WHOLE_ROW} JOIN {resolution.VERDICTS} AS v ON v.row = {_WHOLE_ROW}.rowid "
            f"WHERE v.verdict IN ({resolution.verdict_list(resolution.QUARANTINED)})"
        )

    def _check_bad_records(self, quarantined: int) -> None:
        limit = self.request.bad_record_limit
        if limit is not None and quarantined > limit:
            mine = literal(self.request.execution_id)
            table = bookkeeping.quarantine_table(self.request.target)
            reasons = reasons_of(self.connection, f"(SELECT * FROM {table} WHERE execution_id = {mine})")
            raise TooManyBadRecords(
                f"{quarantined} of {self.request.extracted} rows are bad, at most {limit} are allowed: {reasons}",
                bad=quarantined,
                allowed=limit,
                extracted=self.request.extracted,
            )

    # --- good rows ---

    def _write_rows(self, staged: int) -> int:
        disposition = self.request.disposition
        if disposition is WriteDisposition.WRITE_TRUNCATE:
            return self._replace()
        if self.has_target and staged == 0:
            return 0
        if not self.has_target:
            if self.request.extracted == 0:
                return 0
            return self._replace()
        if disposition is WriteDisposition.WRITE_EMPTY and self.rows_before > 0:
            raise TargetFailed(
                f"WRITE_EMPTY needs an empty table, but {self.request.target.dataset}.{self.request.target.table} "
                f"has {self.rows_before} rows",
                rows=self.rows_before,
            )
        self._add_columns()
        deleted = self._delete_matching() if disposition is WriteDisposition.MERGE else 0
        loaded = self._insert()
        self._check_rows(self.rows_before - deleted + loaded)
        return loaded

    def _replace(self) -> int:
        """Write the target anew, whatever its schema was."""
        if self.has_target:
            self.connection.execute(f"DROP TABLE {self.target}")
        columns = ", ".join(f"{quoted(field.name)} {duckdb_type(field)}" for field in self.request.schema.fields)
        self.connection.execute(f"CREATE TABLE {self.target} ({columns})")
        self.has_target = True
        loaded = self._insert()
        self._check_rows(loaded)
        return loaded

    def _add_columns(self) -> None:
        schema = self.request.schema
        for field in tables.new_columns(schema, self._target_schema(), self.request.target.table):
            self.connection.execute(f"ALTER TABLE {self.target} ADD COLUMN {quoted(field.name)} {duckdb_type(field)}")

    def _delete_matching(self) -> int:
        same_key = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in self.request.key)
        return tables.number(
            self.connection,
            f"DELETE FROM {self.target} AS t USING (SELECT {column_list(self.request.key)} "
            f"FROM {self.staging} AS s WHERE {self._is_written()}) AS s WHERE {same_key}",
        )

    def _insert(self) -> int:
        names = column_list(self.request.schema.names)
        return tables.number(
            self.connection,
            f"INSERT INTO {self.target} ({names}) SELECT {names} FROM {self.staging} AS s "
            f"WHERE {self._is_written()} ORDER BY s.rowid",
        )

    def _is_written(self) -> str:
        return f"NOT EXISTS (SELECT 1 FROM {resolution.VERDICTS} AS v WHERE v.row = s.rowid)"

    # --- proof ---

    def _check_rows(self, expected: int) -> None:
        found = tables.count(self.connection, self.target)
        if found != expected:
            raise TargetFailed(f"{self.target} has {found} rows after the load, {expected} were expected")

    def _check_sum(self, result: PublishResult) -> None:
        parts = result.loaded + result.quarantined + result.deduplicated + result.filtered
        if parts != result.extracted:
            raise TargetFailed(
                f"the rows do not add up: {result.extracted} extracted, but {result.loaded} loaded, "
                f"{result.quarantined} quarantined, {result.deduplicated} deduplicated and {result.filtered} filtered"
            )

    def _details(self, staged: int) -> Mapping[str, Any]:
        return {
            "staged": staged,
            "rows_before": self.rows_before,
            "key": list(self.request.key),
            "objects": len(self.request.objects),
        }

    def _record(self, result: PublishResult) -> None:
        request = self.request
        bookkeeping.record_load(self.connection, request, result)
        if request.cursor is not None:
            bookkeeping.move_cursor(self.connection, request, request.cursor)
        if request.disposition is WriteDisposition.WRITE_TRUNCATE:
            bookkeeping.forget_objects(self.connection, request.target)
        bookkeeping.record_objects(self.connection, request, request.objects)
