"""MySQL and MariaDB: tables and queries in a read-only snapshot, as text that the server writes.

The text is typed exactly, and what no type can hold is rejected and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ingestion.errors import QueryFailed, SchemaMismatch, SourceChanged
from ingestion.formats.engine import row_group_size
from ingestion.formats.samples import sample_rows
from ingestion.model.connections import CloudSqlConnection
from ingestion.model.extraction import DatabaseExtraction, as_columns
from ingestion.sources.base import ConnectionReport, ConnectorContext, Extraction, ExtractionRequest, ObjectDescription
from ingestion.sources.cloud_sql import endpoint_of
from ingestion.sources.database_reading import Amount, throttled
from ingestion.sources.database_staging import PART_BYTES, Part, PartWriter, StagedColumn, staged
from ingestion.sources.mysql_check import check_connection
from ingestion.sources.mysql_connection import Login, Session, login_of, session
from ingestion.sources.mysql_relation import Relation, query_relation, table_relation, with_durations
from ingestion.sources.mysql_rows import read_rows
from ingestion.sources.mysql_window import Window, parts_of, window_of
from ingestion.sources.watching import Watching

_DESCRIBE_SECONDS = 60.0
_DESCRIBED_ROWS = 10_000


class MysqlConnector:
    """Reads one database. `part_bytes` is the text that goes into one staged file."""

    def __init__(self, connection: CloudSqlConnection, context: ConnectorContext, part_bytes: int = PART_BYTES) -> None:
        self._connection = connection
        self._context = context
        self._part_bytes = part_bytes

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Name resolution, TCP, TLS, authentication, the list of tables and the right to read, each on its own."""
        return check_connection(self._connection, self._context, timeout_seconds)

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The columns of `table` or `database.table` and its first rows. Raises ObjectMissing."""
        with (
            endpoint_of(self._connection, self._context) as endpoint,
            session(
                login_of(self._connection, self._context, endpoint, _DESCRIBE_SECONDS), Watching(lambda: None)
            ) as opened,
            tempfile.TemporaryDirectory(prefix="describe-") as folder,
        ):
            relation = table_relation(opened, object_name)
            sample = f"(SELECT * FROM {relation.source} LIMIT {_DESCRIBED_ROWS}) AS sample"
            relation = with_durations(opened, relation, sample)
            columns = _staged_columns(relation)
            writer = PartWriter(Path(folder), "part", columns, relation.label, "row", row_group_size(None))
            part = read_rows(opened, relation, Window(), writer, Amount(), lambda: None, int(sample_rows_wanted))
            schema, files = staged(columns, [part], Path(folder))
            rows = sample_rows([Path(folder, file.name) for file in files], schema, sample_rows_wanted)
        return ObjectDescription(object_name, schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read the table or query of the request, all of it or from its cursor on."""
        params = request.params
        assert isinstance(params, DatabaseExtraction)
        reading = _Reading(self._connection, self._context, request, params, self._part_bytes)
        return reading.watching.run(reading.extraction)[0]


class _Reading:
    """One extraction: threads that read, and the amounts they have got so far."""

    def __init__(
        self,
        connection: CloudSqlConnection,
        context: ConnectorContext,
        request: ExtractionRequest,
        params: DatabaseExtraction,
        part_bytes: int,
    ) -> None:
        self._connection, self._context, self._part_bytes = connection, context, part_bytes
        self._request, self._params = request, params
        self._amounts: list[Amount] = []
        self.watching = Watching(throttled(request.progress, self._amounts))

    def extraction(self) -> Extraction:
        """The whole of it, in a thread that may be interrupted."""
        params, request = self._params, self._request
        with endpoint_of(self._connection, self._context, self.watching.check) as endpoint:
            login = login_of(self._connection, self._context, endpoint, params.statement_timeout_seconds)
            with session(login, self.watching) as opened:
                relation = self._relation(opened)
                _check_mark(relation, params.deleted_column)
                window = window_of(opened, relation, params, request.cursor, request.execution)
                rows = f"{relation.source} WHERE {window.conditions}"
                relation = with_durations(opened, relation, rows, request.known_schema)
                columns = _staged_columns(relation)
                parts = self._parts(login, opened, relation, columns, window)
            schema, files = staged(columns, parts, request.folder, self.watching.check)
        return Extraction(
            schema=schema,
            files=files,
            rejects=[file for part in parts for file in part.rejects],
            rows=sum(part.rows - part.rejected for part in parts),
            rejected=sum(part.rejected for part in parts),
            bytes_read=sum(amount.bytes for amount in self._amounts),
            keys=as_columns(params.primary_key) or relation.keys,
            cursor=window.cursor,
            read_from=window.read_from,
            task_params=self._task_params(len(parts)),
        )

    def _relation(self, opened: Session) -> Relation:
        if self._params.query is not None:
            return query_relation(opened, self._params.query, self._request.interval)
        if self._params.table is None:
            raise QueryFailed("extraction_params must name a table or hold a query")
        return table_relation(opened, self._params.table)

    def _parts(
        self, login: Login, opened: Session, relation: Relation, columns: Sequence[StagedColumn], window: Window
    ) -> Sequence[Part]:
        if self._params.partition_column is None:
            return [self._part(opened, relation, columns, window, "part", "row")]
        plan = parts_of(opened, relation, window, self._params.partition_column, self._params.parts)
        inner = Watching(self.watching.check)
        with ExitStack() as until_read:
            # MySQL cannot share a snapshot: they are all taken now, before any row is read.
            sessions = [until_read.enter_context(session(login, inner)) for _ in plan.windows]

            def read(index: int, own: Session, of: Window) -> Part:
                return self._part(own, relation, columns, of, f"part-{index:02d}", f"part {index}, row")

            works = zip(sessions, plan.windows, strict=True)
            parts = inner.run(*(partial(read, index, own, of) for index, (own, of) in enumerate(works)))
        rows = sum(part.rows for part in parts)
        if rows != plan.rows:
            raise SourceChanged(
                f"{relation.label} had {plan.rows} rows when its parts were planned, but they have {rows}: it changed "
                f"in that moment, or does not give the same rows each time. Try again, or read it without "
                f"partition_column"
            )
        return parts

    def _part(
        self,
        opened: Session,
        relation: Relation,
        columns: Sequence[StagedColumn],
        window: Window,
        prefix: str,
        unit: str,
    ) -> Part:
        amount = Amount()
        self._amounts.append(amount)
        check = self.watching.check
        group = row_group_size(self._request.execution.batch_size)
        folder = self._request.folder
        folder.mkdir(parents=True, exist_ok=True)
        writer = PartWriter(folder, prefix, columns, relation.label, unit, group, self._part_bytes, check)
        return read_rows(opened, relation, window, writer, amount, check)

    def _task_params(self, parts: int) -> dict[str, object]:
        params, connection = self._params, self._connection
        instance = connection.instance_name or connection.host or connection.unix_socket
        read = {"sql": params.query} if params.query is not None else {"table": params.table}
        if params.partition_column is not None:
            read["parts"] = str(parts)
        return {"instance": instance, "database": connection.database, **read, "destination": str(self._request.folder)}


def _staged_columns(relation: Relation) -> Sequence[StagedColumn]:
    return [StagedColumn(column.field) for column in relation.columns]


def _check_mark(relation: Relation, column: str | None) -> None:
    if column is None:
        return
    mark = relation.column(column)
    if not (mark.is_number or mark.is_temporal):
        raise SchemaMismatch(
            f"deleted_column '{column}' is {mark.field.type}, which cannot mark deleted rows; it must be a number "
            f"(MySQL's booleans are), a date or a timestamp",
            column=column,
        )
