"""An extraction: pages into staged files, by the shared staging of JSON."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingestion.formats.reader import FileReading, read_files
from ingestion.model.connections import ApiConnection
from ingestion.model.connections.pagination import Pagination
from ingestion.model.extraction import FileExtraction, FileFormat
from ingestion.model.extraction.api import ApiExtraction
from ingestion.model.schema import SchemaField
from ingestion.sources.api.client import ApiClient
from ingestion.sources.api.cursor import asking_for, declared_key, new_cursor, require_temporal, span_of, within
from ingestion.sources.api.documents import Block
from ingestion.sources.api.pages import Pages
from ingestion.sources.api.request import first_request
from ingestion.sources.api.spools import spooled
from ingestion.sources.api.taking_apart import plain
from ingestion.sources.base import ConnectorContext, Extraction, ExtractionRequest

_SCRATCH = "pages"


class ApiReading:
    """One extraction of one pipeline."""

    def __init__(
        self, connection: ApiConnection, context: ConnectorContext, params: ApiExtraction, request: ExtractionRequest
    ) -> None:
        self._connection = connection
        self._context = context
        self._params = params
        self._request = request
        self._metrics: Mapping[str, Any] = {"rows_extracted": 0, "bytes_processed": 0}
        self._rows = 0

    def read(self) -> Extraction:
        """Read all pages. On an error nothing is promised about the folder."""
        scratch = self._request.folder / _SCRATCH
        try:
            with ApiClient(self._connection, self._context, scratch) as client:
                return self._read(client, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _read(self, client: ApiClient, scratch: Path) -> Extraction:
        params, request = self._params, self._request
        began = self._context.now()
        span = span_of(request)
        asked = first_request(self._connection, params, request.interval, client.resolve)
        if params.incremental_key is not None:
            asked = asking_for(asked, params, span, began)
        pages = Pages(client, params, self._pagination, self._tick)
        blocks = self._counted(pages.blocks(asked))
        first = next(blocks, None)
        reading = self._staged(
            itertools.chain([first] if first else [], blocks), first, pages, scratch, asked.address.url
        )
        started = min(began, pages.server_time or began)
        files = reading.files
        key = params.incremental_key
        if key is not None and reading.files:
            if request.execution.is_backfill:
                require_temporal(reading.schema, key)
            files = within(files, request.folder, reading.schema, key, span, self._tick)
        paths = [request.folder / file.name for file in files]
        return Extraction(
            schema=reading.schema,
            files=files,
            rejects=reading.rejects,
            rows=sum(file.rows for file in files),
            rejected=reading.rejected,
            bytes_read=client.bytes_received,
            keys=params.key_columns,
            cursor=new_cursor(paths, reading.schema, params, request, started),
            task_params={
                "url": client.shown(asked.address),
                "method": asked.method,
                "pages": pages.count,
                "requests": client.requests,
                "destination": str(request.folder),
            },
        )

    @property
    def _pagination(self) -> Pagination | None:
        return self._params.pagination or self._connection.pagination

    def _staged(
        self, blocks: Iterator[Block], first: Block | None, pages: Pages, scratch: Path, label: str
    ) -> FileReading:
        files = spooled(blocks, scratch, label, lambda: pages.count)
        return read_files(
            files,
            self._as_files(first),
            self._request.folder,
            self._request.known_schema,
            self._request.execution.batch_size,
            self._progress,
        )

    def _as_files(self, first: Block | None) -> FileExtraction:
        """How the lines are typed: as JSON files of the same declared columns are."""
        params = self._params
        declared = list(params.schema_ or ())
        key = declared_key(params, self._request.known_schema, _first_value(first, params.incremental_key))
        declared += [key] if key is not None else []
        return json_lines(params, declared)

    def _counted(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            self._rows += block.rows
            yield block
            self._tick()

    def _progress(self, metrics: Mapping[str, Any]) -> None:
        self._metrics = metrics
        self._tick()

    def _tick(self) -> None:
        self._request.progress({**self._metrics, "rows_extracted": self._rows})


def json_lines(params: ApiExtraction, declared: list[SchemaField]) -> FileExtraction:
    """The parameters of the shared staging for lines of JSON."""
    given = {
        "file_format": FileFormat.JSON,
        "compression": "none",
        "encoding": "utf-8",
        "null_values": params.null_values,
        "date_format": params.date_format,
        "timestamp_format": params.timestamp_format,
        "schema": tuple(declared) or None,
    }
    return FileExtraction.model_validate(given)


def _first_value(block: Block | None, key: str | None) -> object:
    """The first value of the incremental key."""
    if block is None or key is None:
        return None
    for line in block.lines.split(b"\n"):
        try:
            row = plain(line) if line else None
        except ValueError:
            continue
        value = row.get(key) if isinstance(row, dict) else None
        if value is not None:
            return value
    return None
