"""Staged Parquet on its way into a staging table: uploaded to the staging bucket, then one load job.

The load job's id is made from the files' content. A worker that was killed finds the job it had begun: what
succeeded is not loaded twice, what failed is tried again under the next id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ingestion import clock
from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.formats.bigquery_types import staged_field, to_bigquery
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.warehouses.bigquery.names import Names, job_id
from ingestion.warehouses.bigquery.session import Session, Tick, failure, failures, patience

if TYPE_CHECKING:
    from google.cloud import bigquery, storage

EXPIRES_AFTER = timedelta(days=7)
"""When BigQuery drops a staging table that nobody came back for."""

REJECT_SCHEMA = TableSchema(fields=tuple(SchemaField(name=name, type=FieldType.STRING) for name in REJECT_COLUMNS))
_ATTEMPTS = 5
_UPLOAD_SECONDS = 300.0
_CHUNK_BYTES = 8 << 20


class StagingBucket:
    """Objects below `gs://bucket/prefix`, one folder per execution."""

    def __init__(self, client: Callable[[], storage.Client], address: str, tick: Tick) -> None:
        name, _, prefix = address.removeprefix("gs://").partition("/")
        self._client = client
        self._name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._tick = tick

    def upload(self, execution_id: str, folder: str, files: Sequence[Path]) -> list[str]:
        """Upload the files; their gs:// addresses, in order. The client compares checksums."""
        uris = []
        with self._bucket() as bucket:
            for index, path in enumerate(files):
                name = f"{self._prefix}{execution_id}/{folder}/{index:05d}.parquet"
                blob = bucket.blob(name, chunk_size=_CHUNK_BYTES)
                with path.open("rb") as stream:
                    blob.upload_from_file(
                        _Ticking(stream, self._tick),
                        size=path.stat().st_size,
                        content_type="application/vnd.apache.parquet",
                        checksum="crc32c",
                        **_patience(),
                    )
                uris.append(f"gs://{self._name}/{name}")
        return uris

    def remove(self, execution_id: str) -> None:
        """Delete what the execution uploaded."""
        from google.api_core import exceptions as google

        with self._bucket() as bucket:
            for blob in bucket.client.list_blobs(self._name, prefix=f"{self._prefix}{execution_id}/", **_patience()):
                try:
                    blob.delete(**_patience())
                except google.NotFound:
                    continue  # Somebody else cleaned up too.

    @contextmanager
    def _bucket(self) -> Iterator[storage.Bucket]:
        from google.api_core import exceptions as google
        from google.cloud.storage.exceptions import DataCorruption

        try:
            with failures(f"the staging bucket gs://{self._name}"):
                client = self._client()
                try:
                    yield client.bucket(self._name)
                finally:
                    client.close()
        except DataCorruption as error:
            raise failure(f"an upload to gs://{self._name}", OSError(str(error))) from error
        except TargetFailed as error:
            if isinstance(error.__cause__, google.NotFound):
                raise TargetFailed(
                    f"the staging bucket gs://{self._name} does not exist: make it, or set "
                    "INGESTION_BIGQUERY_STAGING_BUCKET to another",
                    bucket=self._name,
                ) from error
            raise


class _Ticking:
    """A file whose reads let the caller stop an upload."""

    def __init__(self, stream: BinaryIO, tick: Tick) -> None:
        self._stream = stream
        self._tick = tick

    def read(self, size: int = -1) -> bytes:
        self._tick()
        return self._stream.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _patience() -> dict[str, Any]:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": 60.0, "retry": DEFAULT_RETRY.with_timeout(_UPLOAD_SECONDS)}


def load_table(
    session: Session,
    bucket: StagingBucket,
    names: Names,
    table: str,
    schema: TableSchema,
    execution_id: str,
    files: Sequence[Path],
) -> int:
    """Make the table anew, of the files' rows; how many are in it, counted there."""
    fields = [staged_field(field) for field in schema.fields]
    content = [_digest(path) for path in files]
    folder = "rejects" if table.endswith("_rejects") else "rows"
    shape = schema.model_dump_json()
    uris: list[str] = []
    for attempt in range(_ATTEMPTS if files else 0):
        job = job_id(f"load_{folder}", execution_id, names.table(table), shape, *content, str(attempt))
        earlier = _job(session, job)
        if earlier is not None:
            if _is_intact(session, names, table, earlier):
                return _rows(session, names, table)
            continue
        uris = uris or bucket.upload(execution_id, folder, files)
        _make(session, names, table, fields, description=job)
        _check(session.load(uris, names.reference(table), _config(session, fields), job), table)
        return _rows(session, names, table)
    if files:
        raise TargetFailed(f"loading {table} failed {_ATTEMPTS} times; look at its jobs in project {session.project}")
    _make(session, names, table, fields)
    return 0


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _job(session: Session, job: str) -> Any:
    from google.api_core import exceptions as google

    with failures("looking for a load job"):
        try:
            return session.client.get_job(job, location=session.location, **patience())
        except google.NotFound:
            return None


def _is_intact(session: Session, names: Names, table: str, earlier: Any) -> bool:
    """Whether that job ended well and its table is as it left it."""
    from google.api_core import exceptions as google

    session.wait(earlier)
    if earlier.error_result:
        return False
    with failures("looking for a staging table"):
        try:
            there = session.client.get_table(names.reference(table), **patience())
        except google.NotFound:
            return False
    return bool(there.description == earlier.job_id and _rows(session, names, table) == earlier.output_rows)


def _rows(session: Session, names: Names, table: str) -> int:
    return session.number(f"SELECT COUNT(*) FROM {names.table(table)}")


def _make(session: Session, names: Names, table: str, fields: Sequence[SchemaField], description: str = "") -> None:
    from google.cloud import bigquery

    made = bigquery.Table(names.reference(table), schema=to_bigquery(fields))
    made.expires = clock.now() + EXPIRES_AFTER
    made.labels = dict(session.labels)
    made.description = description
    with failures(f"making the table {names.dataset}.{table}"):
        session.client.delete_table(names.reference(table), not_found_ok=True, **patience())
        session.client.create_table(made, **patience())


def _config(session: Session, fields: Sequence[SchemaField]) -> bigquery.LoadJobConfig:
    from google.cloud import bigquery

    parquet = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    parquet.enable_list_inference = True
    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=to_bigquery(fields),
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        parquet_options=parquet,
        labels=dict(session.labels),
    )


def _check(job: bigquery.LoadJob, table: str) -> None:
    if not job.error_result:
        return
    reason, message = job.error_result.get("reason"), job.error_result.get("message")
    details = "; ".join(str(item.get("message")) for item in (job.errors or ())[:3])
    text = f"BigQuery could not load {table} ({reason}): {message}" + (f" [{details}]" if details != message else "")
    if reason == "invalid":
        raise SchemaMismatch(f"{text}. Nothing was loaded", reason=reason)
    raise TargetFailed(text, reason=reason)
