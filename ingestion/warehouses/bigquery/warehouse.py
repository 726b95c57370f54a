"""BigQuery as the warehouse: a dataset is a dataset, staging and bookkeeping tables are beside the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion.errors import ExecutionFailure, PreconditionFailed, TargetFailed
from ingestion.formats.bigquery_types import require_columns
from ingestion.google_credentials import google_login
from ingestion.model.connections.google import GoogleAccess
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.model.quarantine import QuarantineSelection
from ingestion.settings import Settings
from ingestion.sources.base import Cursor
from ingestion.warehouses.base import (
    CursorState,
    LoadRequest,
    PublishRequest,
    PublishResult,
    QuarantinePage,
    TargetState,
    TargetTable,
)
from ingestion.warehouses.bigquery import bookkeeping, checks, publishing, quarantine, swapping, targets
from ingestion.warehouses.bigquery.names import LOADS, Names, rejects_table, staging_table
from ingestion.warehouses.bigquery.session import Session, Tick, failures, has_table, label, patience
from ingestion.warehouses.bigquery.staging import REJECT_SCHEMA, StagingBucket, load_table

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import bigquery, storage

_JOB_SECONDS = 300.0
"""How long a publish waits for jobs of an earlier attempt; `published` is asked again by its caller, after less."""

_LOOK_SECONDS = 15.0
_NOTHING = TargetState(schema=None, row_count=0, cursor=None, loaded_objects=frozenset())


class BigQueryWarehouse:
    """The datasets of one project. Holds no connection between calls."""

    def __init__(self, settings: Settings) -> None:
        assert settings.bigquery_project is not None
        assert settings.bigquery_staging_bucket is not None
        self._settings = settings
        self._project = settings.bigquery_project
        self._staging = settings.bigquery_staging_bucket

    def state(self, pipeline_id: str, target: TargetTable) -> TargetState:
        """The target as it is now; nothing is made when it is not there."""
        names = Names(self._project, target.dataset)
        with self._session(pipeline_id) as session:
            last = None
            table = self._settled(session, names, target)
            has_loads = has_table(session, names, LOADS)
            if has_loads:
                last = bookkeeping.last_execution(session, names, pipeline_id, target)
            if table is None:
                return replace(_NOTHING, last_execution_id=last)
            return TargetState(
                schema=targets.schema_of(table),
                row_count=session.number(f"SELECT COUNT(*) FROM {names.table(target.table)}"),
                cursor=bookkeeping.cursor_state(session, names, pipeline_id, target).cursor if has_loads else None,
                loaded_objects=bookkeeping.loaded_objects(session, names, pipeline_id, target)
                if has_loads
                else frozenset(),
                last_execution_id=last,
            )

    def stage(self, request: LoadRequest) -> int:
        """Load the files into tables beside the target, one job each; an unchanged replay finds them done."""
        require_columns(request.schema)
        names = Names(self._project, request.target.dataset)
        tick: Tick = lambda: request.progress({})  # noqa: E731
        with self._session(request.pipeline_id, request.execution_id, tick) as session:
            self._require_dataset(session, names)
            bucket = StagingBucket(self._storage_client(), self._staging, tick)
            rejects = rejects_table(request.execution_id, request.target)
            rows = staging_table(request.execution_id, request.target)
            load_table(session, bucket, names, rejects, REJECT_SCHEMA, request.execution_id, request.rejects)
            staged = load_table(session, bucket, names, rows, request.schema, request.execution_id, request.files)
            # Nobody needs the objects now; what fails later keeps its staging for a retry, and they would stay.
            bucket.remove(request.execution_id)
            return staged

    def audit(self, execution_id: str, target: TargetTable, specs: Sequence[CheckSpec]) -> Sequence[CheckResult]:
        """Run the checks on the staging table."""
        names = Names(self._project, target.dataset)
        staged = TargetTable(target.dataset, staging_table(execution_id, target))
        with self._session(None, execution_id) as session:
            table = targets.find(session, names, staged)
            if table is None:
                raise TargetFailed(
                    f"the execution {execution_id} has no staged rows for {target.dataset}.{target.table}"
                )
            return checks.run_checks(session, names.table(staged.table), targets.schema_of(table), specs)

    def publish(self, request: PublishRequest) -> PublishResult:
        """Make the staged rows and everything about them visible in one transaction; idempotent by execution."""
        names = Names(self._project, request.target.dataset)
        with self._session(request.pipeline_id, request.execution_id) as session:
            self._require_dataset(session, names)
            session.wait_for_jobs(_JOB_SECONDS)
            self._settled(session, names, request.target)
            result = publishing.publish(session, names, request)
            self._drop_staging(session, names, request.execution_id, request.target)
            return result

    def published(self, execution_id: str, target: TargetTable) -> PublishResult | None:
        """The load record of an execution."""
        names = Names(self._project, target.dataset)
        with self._session(None, execution_id) as session:
            if not has_table(session, names, LOADS):
                return None
            result = bookkeeping.load_record(session, names, execution_id)
            if result is None:
                # A worker's end does not end what it has asked BigQuery for.
                session.wait_for_jobs(_LOOK_SECONDS)
                self._settled(session, names, target)
                result = bookkeeping.load_record(session, names, execution_id)
            return result

    def discard(self, execution_id: str, target: TargetTable) -> None:
        """Drop what the execution staged, in the dataset and in the bucket."""
        names = Names(self._project, target.dataset)
        with self._session(None, execution_id) as session:
            self._settled(session, names, target)
            swapping.forget(session, names, execution_id)
            self._drop_staging(session, names, execution_id, target)

    def quarantined(
        self, target: TargetTable, selection: QuarantineSelection, offset: int, limit: int
    ) -> QuarantinePage:
        """Quarantined rows, the latest first."""
        names = Names(self._project, target.dataset)
        with self._session(selection.pipeline_id) as session:
            if not quarantine.exists(session, names, target):
                return QuarantinePage((), 0)
            return quarantine.page(session, names, target, selection, offset, limit)

    def export_quarantine(self, target: TargetTable, selection: QuarantineSelection, path: Path) -> int:
        """Write what a replay needs of the selected records to a Parquet file."""
        names = Names(self._project, target.dataset)
        with self._session(selection.pipeline_id) as session:
            if not quarantine.exists(session, names, target):
                return 0
            return quarantine.export(session, names, target, selection, path)

    def discard_quarantined(self, target: TargetTable, selection: QuarantineSelection, by: str) -> int:
        """Give up the OPEN ones of the selected records."""
        names = Names(self._project, target.dataset)
        with self._session(selection.pipeline_id) as session:
            if not quarantine.exists(session, names, target):
                return 0
            return quarantine.discard(session, names, target, selection, by)

    def cursor_state(self, pipeline_id: str, target: TargetTable) -> CursorState:
        """The pipeline's cursor and how it came about."""
        names = Names(self._project, target.dataset)
        with self._session(pipeline_id) as session:
            if not has_table(session, names, LOADS) or targets.find(session, names, target) is None:
                return CursorState()
            return bookkeeping.cursor_state(session, names, pipeline_id, target)

    def set_cursor(
        self, pipeline_id: str, target: TargetTable, cursor: Cursor | None, *, by: str, version: str
    ) -> CursorState:
        """Set or reset the cursor, keeping the value it replaces."""
        names = Names(self._project, target.dataset)
        with self._session(pipeline_id) as session:
            self._require_dataset(session, names)
            bookkeeping.prepare(session, names)
            before = bookkeeping.cursor_state(session, names, pipeline_id, target)
            if before.version != version:
                raise PreconditionFailed("the cursor was changed meanwhile; read it again before you set it")
            bookkeeping.set_cursor(session, names, pipeline_id, target, cursor, by)
            return bookkeeping.cursor_state(session, names, pipeline_id, target)

    # --- what the calls share ---

    def _settled(self, session: Session, names: Names, target: TargetTable) -> bigquery.Table | None:
        """The table, if it is there; a swap that has made it and is not on record yet is recorded first."""
        table = targets.find(session, names, target)
        recorded = swapping.complete(session, names, target, table)
        if recorded is not None:
            self._drop_staging(session, names, recorded, target)
        return table

    def _drop_staging(self, session: Session, names: Names, execution_id: str, target: TargetTable) -> None:
        for table in (staging_table(execution_id, target), rejects_table(execution_id, target)):
            with failures("dropping a staging table"):
                session.client.delete_table(names.reference(table), not_found_ok=True, **patience())
        StagingBucket(self._storage_client(), self._staging, lambda: None).remove(execution_id)

    def _require_dataset(self, session: Session, names: Names) -> None:
        """Make the dataset in the deployment's location where it is missing."""
        from google.api_core import exceptions as google
        from google.cloud import bigquery

        reference = bigquery.DatasetReference(names.project, names.dataset)
        with failures(f"looking for the dataset {names.project}.{names.dataset}"):
            try:
                session.client.get_dataset(reference, **patience())
            except google.NotFound:
                dataset = bigquery.Dataset(reference)
                dataset.location = self._settings.bigquery_location
                session.client.create_dataset(dataset, exists_ok=True, **patience())

    @contextmanager
    def _session(
        self, pipeline_id: str | None, execution_id: str | None = None, tick: Tick = lambda: None
    ) -> Iterator[Session]:
        from google.cloud import bigquery

        marks = {"ingestion_pipeline": pipeline_id, "ingestion_execution": execution_id}
        login = self._login(self._settings.bigquery_endpoint)
        client = bigquery.Client(
            project=self._project,
            credentials=login,
            location=self._settings.bigquery_location,
            client_options={"api_endpoint": self._settings.bigquery_endpoint},
        )
        try:
            yield Session(
                client,
                self._project,
                self._settings.bigquery_location,
                {name: label(value) for name, value in marks.items() if value},
                tick,
            )
        finally:
            client.close()  # type: ignore[no-untyped-call]

    def _storage_client(self) -> Callable[[], storage.Client]:
        def make() -> storage.Client:
            from google.cloud import storage

            endpoint = self._settings.gcs_endpoint
            return storage.Client(
                project=self._project,
                credentials=self._login(endpoint),
                client_options={"api_endpoint": endpoint} if endpoint else None,
            )

        return make

    def _login(self, endpoint: str | None) -> Credentials:
        try:
            return google_login(
                GoogleAccess(), _no_secret, self._settings.google_credentials, endpoint=endpoint
            ).credentials
        except ExecutionFailure as error:
            raise TargetFailed(f"the warehouse BigQuery cannot be used: {error.message}") from error


def _no_secret(reference: str) -> str:
    raise TargetFailed(f"the warehouse has no secret of its own: {reference}")
