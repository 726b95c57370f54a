"""Rows of a BigQuery table into Parquet parts: through the Storage Read API in streams, or page by page over REST.

Values arrive as Arrow in BigQuery's own types. Only decimals with more digits than are kept here (38) can fail to
fit: their rows are rejected, each with its value, and the others are kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed
from ingestion.formats.bigquery_types import to_bigquery
from ingestion.formats.engine import row_group_size
from ingestion.formats.rejects import Reject, RejectFile
from ingestion.formats.staged import StagedFile, staged_file
from ingestion.formats.types import arrow_type, type_label
from ingestion.model.schema import SchemaField, TableSchema
from ingestion.sources.base import Progress
from ingestion.sources.bigquery_session import Session, failures, patience
from ingestion.sources.watching import Watching

if TYPE_CHECKING:
    from google.cloud import bigquery, bigquery_storage_v1

STREAMS = 4
_PART_BYTES = 128 << 20
_PAGE_ROWS = 10_000


@dataclass
class TableReading:
    """One read of a stored table into `folder`. Rows read = rows in `files` + rows in `rejects`."""

    opened: Session
    label: str
    table: bigquery.TableReference
    schema: TableSchema
    folder: Path
    batch_size: int | None
    progress: Progress
    limit: int | None = None
    files: list[StagedFile] = field(default_factory=list)
    rejects: list[StagedFile] = field(default_factory=list)
    bytes_read: int = 0
    method: str = "rest"

    def read(self) -> None:
        """Read all rows; the table is as it was when the reading began."""
        self._lock = threading.Lock()
        self._seen = 0
        self._watching = Watching(self._tick)
        with failures(self.label):
            session = self._storage_session() if self.limit is None else None
            if session is None:
                self._watching.run(lambda: self._take(0, self._rest_batches()))
                return
            reader, columns, streams = session
            self.method = "storage_read"
            try:
                with self._watching.interrupting(lambda by_any_means: _close(reader)):
                    works = [
                        lambda index=index, name=name: self._take(index, _stream_batches(reader, columns, name))
                        for index, name in enumerate(streams)
                    ]
                    if works:
                        self._watching.run(*works)
            finally:
                _close(reader)

    # --- where rows come from ---

    def _storage_session(self) -> tuple[bigquery_storage_v1.BigQueryReadClient, pa.Schema, Sequence[str]] | None:
        """A reader, the columns as they come, and the streams; None where the Storage Read API is not to be had."""
        from google.api_core import exceptions as google
        from google.cloud.bigquery_storage_v1 import types

        reader = _reader(self.opened)
        if reader is None:
            return None
        table, project = self.table, self.opened.connection.project_id
        wanted = types.ReadSession(
            table=f"projects/{table.project}/datasets/{table.dataset_id}/tables/{table.table_id}",
            data_format=types.DataFormat.ARROW,
        )
        try:
            session = reader.create_read_session(
                parent=f"projects/{project}", read_session=wanted, max_stream_count=STREAMS, timeout=60
            )
        except (google.PermissionDenied, google.MethodNotImplemented):
            _close(reader)
            return None
        columns = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema)) if session.streams else None
        return reader, columns, [stream.name for stream in session.streams]

    def _rest_batches(self) -> Iterator[pa.RecordBatch]:
        rows = self.opened.client.list_rows(
            self.table,
            selected_fields=to_bigquery(self.schema.fields),
            page_size=_PAGE_ROWS,
            max_results=self.limit,
            **patience(),
        )
        yield from rows.to_arrow_iterable()

    # --- where they go ---

    def _take(self, stream: int, batches: Iterator[pa.RecordBatch]) -> None:
        """Write one stream's rows into parts of its own."""
        rejects = RejectFile(self.folder / f"rejects-{stream:02d}.parquet")
        parts = _Parts(self.folder, stream, staged_columns(self.schema), row_group_size(self.batch_size))
        position = 0
        try:
            for batch in batches:
                self._watching.check()
                table = pa.Table.from_batches([batch])
                parts.write(rows_that_fit(table, self.schema, rejects, self.label, position))
                position += batch.num_rows
                with self._lock:
                    self._seen += batch.num_rows
                    self.bytes_read += batch.nbytes
            files, rejected = parts.close(), rejects.close()
        except BaseException:
            parts.abandon()
            rejects.abandon()
            raise
        if sum(file.rows for file in files) + rejects.count != position:
            raise ParseFailed(f"{self.label}: {position} rows were sent but not all are accounted for")
        with self._lock:
            self.files += files
            self.rejects += rejected

    def _tick(self) -> None:
        self.progress({"rows_extracted": self._seen, "bytes_processed": self.bytes_read})


def rows_that_fit(table: pa.Table, schema: TableSchema, rejects: RejectFile, label: str, position: int) -> pa.Table:
    """The rows in the types they are staged in. Others are rejected with their first value that does not fit;
    `position` rows were before these."""
    columns = staged_columns(schema)
    table = table.select(columns.names)
    try:
        return table.cast(columns)
    except pa.ArrowInvalid:
        kept = []
    for index in range(table.num_rows):
        row = table.slice(index, 1)
        misfit = next((column for column in schema.fields if not _fits(row, column)), None)
        if misfit is None:
            kept.append(row.cast(columns))
            continue
        values = row.to_pylist()[0]
        rejects.add(
            Reject(
                object=label,
                position=f"row {position + index + 1}",
                error_code="CAST",
                column_name=misfit.name,
                expected=f"{type_label(misfit)} of at most 38 digits",
                got=str(values[misfit.name]),
                raw_row=json.dumps(values, default=str, ensure_ascii=False),
            )
        )
    return pa.concat_tables(kept) if kept else columns.empty_table()


def staged_columns(schema: TableSchema) -> pa.Schema:
    """The Arrow schema of staged files."""
    return pa.schema([(column.name, arrow_type(column)) for column in schema.fields])


def _fits(row: pa.Table, column: SchemaField) -> bool:
    try:
        row.column(column.name).cast(arrow_type(column))
    except pa.ArrowInvalid:
        return False
    return True


def _reader(opened: Session) -> bigquery_storage_v1.BigQueryReadClient | None:
    """A client of the Storage Read API; without TLS where the source names a server that is not Google's."""
    from google.cloud import bigquery_storage_v1

    connection = opened.connection
    if connection.storage_endpoint is None:
        if connection.endpoint is not None:
            return None
        return bigquery_storage_v1.BigQueryReadClient(  # type: ignore[no-untyped-call]
            credentials=opened.credentials
        )
    if connection.storage_endpoint.partition(":")[0].endswith("googleapis.com"):
        return bigquery_storage_v1.BigQueryReadClient(  # type: ignore[no-untyped-call]
            credentials=opened.credentials, client_options={"api_endpoint": connection.storage_endpoint}
        )
    import grpc  # type: ignore[import-untyped]
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    unlimited = [("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(connection.storage_endpoint, options=unlimited)
    return bigquery_storage_v1.BigQueryReadClient(  # type: ignore[no-untyped-call]
        transport=BigQueryReadGrpcTransport(channel=channel)
    )


def _close(reader: Any) -> None:
    reader.transport.close()


def _stream_batches(reader: Any, columns: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    # A broken stream is taken up again at its offset by the client.
    for message in reader.read_rows(name):
        batch = message.arrow_record_batch.serialized_record_batch
        if batch:
            yield pa.ipc.read_record_batch(pa.py_buffer(batch), columns)


class _Parts:
    """Parquet files of one stream, a new one whenever enough bytes are in the last."""

    def __init__(self, folder: Path, stream: int, columns: pa.Schema, row_group: int) -> None:
        self._folder = folder
        self._stream = stream
        self._columns = columns
        self._row_group = row_group
        self._writer: pq.ParquetWriter | None = None
        self._path = folder
        self._rows = 0
        self._bytes = 0
        self._done: list[StagedFile] = []

    def write(self, table: pa.Table) -> None:
        """Append the rows."""
        if table.num_rows == 0:
            return
        if self._writer is None:
            self._path = self._folder / f"part-{self._stream:02d}-{len(self._done):05d}.parquet"
            self._writer = pq.ParquetWriter(self._path, self._columns)
        self._writer.write_table(table, row_group_size=self._row_group)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._bytes >= _PART_BYTES:
            self._finish()

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._done.append(staged_file(self._path, self._rows))
            self._writer, self._rows, self._bytes = None, 0, 0

    def close(self) -> list[StagedFile]:
        """The finished files."""
        self._finish()
        return self._done

    def abandon(self) -> None:
        """Release the file without promising anything about it."""
        if self._writer is not None:
            self._writer.close()
