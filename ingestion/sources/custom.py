"""Sources read through an installed connector."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ingestion.connectors import CustomConnector, ReadRequest, Rows, load_connector
from ingestion.errors import ExecutionFailure, QueryFailed, UnexpectedFailure
from ingestion.formats.reader import FileReading, read_files
from ingestion.formats.samples import sample_rows
from ingestion.model.connections import CustomConnection
from ingestion.model.extraction import CustomExtraction, FileExtraction
from ingestion.model.problems import join_problems, problems_of
from ingestion.model.schema import TableSchema
from ingestion.sources.base import ConnectionReport, ConnectorContext, Extraction, ExtractionRequest, ObjectDescription
from ingestion.sources.checks import Checks
from ingestion.sources.cursors import greatest
from ingestion.sources.custom_batches import Batches

_BATCH_ROWS = 10_000
_DESCRIBED_ROWS = 1_000


class InstalledConnector:
    """The adapter between a connector that others wrote and the steps."""

    def __init__(self, connection: CustomConnection, context: ConnectorContext) -> None:
        self._connection = connection
        self._context = context

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Find the connector, hold the config against its model, and let it test itself."""
        checks = Checks(timeout_seconds)
        attempts: list[tuple[str, Callable[[], str]]] = [
            ("connector", lambda: f"'{self._connection.connector}' is {_name_of(self._class)}"),
            ("config", self._config_message),
            ("read", lambda: self._opened.check(timeout_seconds)),
        ]
        try:
            for name, attempt in attempts:
                # Other errors become ours inside the step, so that it is noted as the one that failed.
                with checks.step(name), self._reported():
                    message = attempt()
                checks.note(name, message)
            checks.proven.add("read")
        except ExecutionFailure as error:
            return checks.report({}, error)
        return checks.report({})

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The schema as far as the first rows tell it."""
        params = CustomExtraction(object=object_name)
        request = self._read_request(params, limit=_DESCRIBED_ROWS)
        with tempfile.TemporaryDirectory(prefix="describe-") as folder, self._reported():
            staged = Path(folder, "staged")
            reading, _ = self._read(replace(request, batch_size=_DESCRIBED_ROWS), params, staged)
            rows = sample_rows([staged / file.name for file in reading.files], reading.schema, sample_rows_wanted)
        return ObjectDescription(object_name, reading.schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read the object from the cursor on."""
        params = request.params
        assert isinstance(params, CustomExtraction)
        with self._reported():
            wanted = replace(
                self._read_request(params),
                cursor_column=params.incremental_key,
                cursor_value=request.cursor.value if request.cursor else None,
                start_date=request.execution.start_date,
                end_date=request.execution.end_date,
                include_deleted=bool(request.execution.include_deleted),
                batch_size=request.execution.batch_size or _BATCH_ROWS,
            )
            keys = params.key_columns or tuple(self._opened.keys(params.object, wanted.params))
            reading, size = self._read(wanted, params, request.folder, request)
        paths = [request.folder / file.name for file in reading.files]
        cursor = None
        if params.incremental_key is not None:
            cursor = greatest(paths, reading.schema, params.incremental_key, request.cursor)
        return Extraction(
            schema=reading.schema,
            files=reading.files,
            rejects=reading.rejects,
            rows=reading.rows - reading.rejected,
            rejected=reading.rejected,
            bytes_read=size,
            keys=keys,
            cursor=cursor,
            task_params={
                "connector": self._connection.connector,
                "object": params.object,
                "destination": str(request.folder),
            },
        )

    def _read(
        self,
        wanted: ReadRequest[Any],
        params: CustomExtraction,
        folder: Path,
        request: ExtractionRequest | None = None,
    ) -> tuple[FileReading, int]:
        """The rows as staged files, and the bytes that came."""
        progress = request.progress if request else lambda metrics: None
        latest: list[Any] = [{"rows_extracted": 0, "bytes_processed": 0}]

        def noted(metrics: Any) -> None:
            latest[0] = metrics
            progress(metrics)

        files = FileExtraction.model_validate({"schema": params.schema_}) if params.schema_ else FileExtraction()
        with closing(_generator(self._opened.read(wanted), wanted.limit)) as rows:
            batches = Batches(params.object, rows, lambda: noted(latest[0]))
            known: TableSchema | None = request.known_schema if request else None
            reading = read_files(batches.files(), files, folder, known, wanted.batch_size, noted)
        return reading, batches.bytes_read

    def _read_request(self, params: CustomExtraction, limit: int | None = None) -> ReadRequest[Any]:
        given = _validated(self._class.params_model, params.params, "extraction_params.params")
        return ReadRequest(object_name=params.object, params=given, limit=limit)

    def _config_message(self) -> str:
        return f"is a {_name_of(type(self._opened.config))}"

    @cached_property
    def _class(self) -> type[CustomConnector[Any, Any]]:
        return load_connector(self._connection.connector)

    @cached_property
    def _opened(self) -> CustomConnector[Any, Any]:
        config = _validated(self._class.config_model, self._connection.config, "connection_details.config")
        return self._class(config, self._context.resolve_secret)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Errors that are not ours are the connector's defects, and are reported as such."""
        try:
            yield
        except (ExecutionFailure, OSError, MemoryError):
            raise
        except Exception as error:
            name = self._connection.connector
            raise UnexpectedFailure(
                f"the connector '{name}' failed with {type(error).__name__}: {error}", connector=name
            ) from error


def _validated(model: type[BaseModel], given: dict[str, Any], prefix: str) -> BaseModel:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise QueryFailed(join_problems(problems_of(error, model, prefix))) from error


def _generator(batches: Iterator[Rows], limit: int | None) -> Generator[Rows, None, None]:
    """The batches, no more rows than `limit`; closing it closes the connector's own generator."""
    try:
        left = limit
        for batch in batches:
            if left is None:
                yield batch
                continue
            cut = batch[:left]
            left -= len(cut)
            yield cut
            if left <= 0:
                return
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def _name_of(found: type) -> str:
    return f"{found.__module__}.{found.__qualname__}"
