"""PostgreSQL: tables and queries through COPY, in one read-only snapshot.

COPY as text is the one way out of PostgreSQL that changes no value; its text is then cast by the same
strict rules as a CSV file's, so what does not fit is rejected and counted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ingestion.errors import QueryFailed
from ingestion.formats.samples import sample_rows
from ingestion.model.connections import CloudSqlConnection
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction, as_columns
from ingestion.sources.base import (
    ConnectionReport,
    ConnectorContext,
    Extraction,
    ExtractionRequest,
    ObjectDescription,
)
from ingestion.sources.postgres_check import check_connection
from ingestion.sources.postgres_connection import STATEMENT_SECONDS, Session, session
from ingestion.sources.postgres_copy import CHUNK_BYTES, CopyReading
from ingestion.sources.postgres_relation import Relation, query_relation, table_relation
from ingestion.sources.postgres_window import Window, window_of

_DESCRIBE_SECONDS = 60.0


class PostgresConnector:
    """Reads one database. `chunk_bytes` is the text that is taken before it is compacted."""

    def __init__(
        self, connection: CloudSqlConnection, context: ConnectorContext, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self._connection = connection
        self._context = context
        self._chunk_bytes = chunk_bytes

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Name resolution, TCP, TLS, authentication and the right to read, each on its own."""
        return check_connection(self._connection, self._context, timeout_seconds)

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The columns of `table` or `schema.table` and its first rows. Raises ObjectMissing."""
        with (
            session(self._connection, self._context, statement_seconds=_DESCRIBE_SECONDS) as opened,
            tempfile.TemporaryDirectory(prefix="describe-") as folder,
        ):
            relation = table_relation(opened, object_name)
            window = Window(order=f" LIMIT {int(sample_rows_wanted)}")
            staged = Path(folder, "staged")
            reading = CopyReading(relation, staged, None, lambda metrics: None, self._chunk_bytes).read(
                opened, window, None
            )
            rows = sample_rows([staged / file.name for file in reading.files], reading.schema, sample_rows_wanted)
        return ObjectDescription(object_name, reading.schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read the table or query of the request, all of it or from its cursor on."""
        params = request.params
        assert isinstance(params, DatabaseExtraction)
        seconds = params.statement_timeout_seconds or STATEMENT_SECONDS
        with session(self._connection, self._context, statement_seconds=seconds) as opened:
            relation = self._relation(opened, params, request)
            window = window_of(opened, relation, params.incremental_key, request.cursor, request.execution)
            reading = CopyReading(
                relation, request.folder, request.known_schema, request.progress, self._chunk_bytes
            ).read(opened, window, request.execution.batch_size)
        return Extraction(
            schema=reading.schema,
            files=reading.files,
            rejects=reading.rejects,
            rows=reading.rows - reading.rejected,
            rejected=reading.rejected,
            bytes_read=reading.bytes_read,
            keys=as_columns(params.primary_key) or relation.keys,
            cursor=window.cursor,
            task_params=_task_params(self._connection, params, request.execution, request.folder),
        )

    @staticmethod
    def _relation(opened: Session, params: DatabaseExtraction, request: ExtractionRequest) -> Relation:
        if params.query is not None:
            return query_relation(opened, params.query, request.interval)
        if params.table is None:
            raise QueryFailed("extraction_params must name a table or hold a query")
        return table_relation(opened, params.table)


def _task_params(
    connection: CloudSqlConnection, params: DatabaseExtraction, execution: ExecutionParams, folder: Path
) -> dict[str, object]:
    instance = connection.instance_name or connection.host or connection.unix_socket
    read = {"sql": params.query} if params.query is not None else {"table": params.table}
    return {"instance": instance, "database": connection.database, **read, "destination": str(folder)}
