"""What every connector does: check a connection, describe an object, extract rows into staged files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ingestion.formats.staged import REJECT_COLUMNS as REJECT_COLUMNS
from ingestion.formats.staged import StagedFile as StagedFile
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import ExtractionParams
from ingestion.model.macros import Interval
from ingestion.model.schema import TableSchema
from ingestion.settings import DefaultCredentials

Progress = Callable[[Mapping[str, Any]], None]
"""Called now and then while rows move, with the metrics so far; may raise to stop the work (cancel)."""


@dataclass(frozen=True)
class ConnectionReport:
    """Result of a connection test. `measurements` and `results` are the contract's two open objects.

    `results` has `permissions`, `missing_permissions` and `checks` (name, passed, message) and, when the
    test failed, `error_code` and `reason`.
    """

    successful: bool
    measurements: Mapping[str, Any]
    results: Mapping[str, Any]


@dataclass(frozen=True)
class ObjectDescription:
    """The schema of a table or of the files that match a pattern, with a few JSON-ready sample rows."""

    object_name: str
    schema: TableSchema
    sample_rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ObjectVersion:
    """One file as it was read: its name and the store's generation of it ("" for databases)."""

    name: str
    generation: str
    size_bytes: int


@dataclass(frozen=True)
class Cursor:
    """How far an incremental pipeline has read: the greatest value of `key` published so far, as text."""

    key: str
    value: str


@dataclass(frozen=True)
class ExtractionRequest:
    """All a connector needs to know to extract for one execution.

    `folder` is empty and the connector's own. `known_schema` is the target's present schema: declared
    types win over it, it wins over types told from the data. `skip_objects` were loaded before and are
    not to be read again. `cursor` is None on a first read, for backfills and without incremental_key.
    """

    params: ExtractionParams
    execution: ExecutionParams
    interval: Interval
    folder: Path
    known_schema: TableSchema | None = None
    cursor: Cursor | None = None
    skip_objects: frozenset[ObjectVersion] = frozenset()
    progress: Progress = field(default=lambda metrics: None)


@dataclass(frozen=True)
class Extraction:
    """What was extracted. Rows read = `rows` (in `files`) + `rejected` (in `rejects`), exactly.

    Data files hold the columns of `schema`, in order. Reject files hold the columns of REJECT_COLUMNS.
    `keys` are the primary key columns if the source knows them. `cursor` is the new upper bound. `read_from` is
    where the read began when that lies below the cursor of the request (look-back): the least value of the key.
    """

    schema: TableSchema
    files: Sequence[StagedFile]
    rejects: Sequence[StagedFile]
    rows: int
    rejected: int
    bytes_read: int
    objects: Sequence[ObjectVersion] = ()
    skipped_objects: int = 0
    keys: tuple[str, ...] = ()
    cursor: Cursor | None = None
    read_from: Cursor | None = None
    task_params: Mapping[str, Any] = field(default_factory=dict)


class Connector(Protocol):
    """One source, ready to be used. Made by the registry from a stored source; opens nothing until called.

    All methods are blocking and raise ExecutionFailure subclasses.
    """

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Test the connection by named sub-checks. Never raises for a source that cannot be reached."""
        ...

    def describe(self, object_name: str, sample_rows: int) -> ObjectDescription:
        """Schema and samples of a table or file pattern. Raises FileMissing or ObjectMissing if there is none."""
        ...

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read everything the request asks for into `request.folder`."""
        ...


@dataclass(frozen=True)
class ConnectorContext:
    """What connectors may use of the deployment."""

    buckets_dir: Path
    gcs_endpoint: str | None
    resolve_secret: Callable[[str], str]
    now: Callable[[], datetime]
    google_credentials: DefaultCredentials = "auto"
