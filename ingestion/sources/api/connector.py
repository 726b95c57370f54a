"""REST and GraphQL APIs: the connector."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from pydantic import ValidationError

from ingestion.errors import ObjectMissing
from ingestion.formats.reader import LocalFile, read_files
from ingestion.formats.samples import sample_rows
from ingestion.model.connections import ApiConnection
from ingestion.model.extraction.api import ApiExtraction
from ingestion.model.macros import Interval
from ingestion.model.problems import join_problems, problems_of
from ingestion.sources.api.check import check_connection
from ingestion.sources.api.client import ApiClient
from ingestion.sources.api.documents import Block
from ingestion.sources.api.pages import Pages
from ingestion.sources.api.reading import ApiReading, json_lines
from ingestion.sources.api.request import first_request
from ingestion.sources.api.spools import moving
from ingestion.sources.base import (
    ConnectionReport,
    ConnectorContext,
    Extraction,
    ExtractionRequest,
    ObjectDescription,
)

_DESCRIBE_SECONDS = 30.0


class ApiConnector:
    """Reads one API."""

    def __init__(self, connection: ApiConnection, context: ConnectorContext) -> None:
        self._connection = connection
        self._context = context

    def check(self, timeout_seconds: float) -> ConnectionReport:
        """Name resolution, TCP, TLS, authentication and reading, each on its own."""
        return check_connection(self._connection, self._context, timeout_seconds)

    def describe(self, object_name: str, sample_rows_wanted: int) -> ObjectDescription:
        """The columns and first rows of what a path below the endpoint answers. Raises ObjectMissing."""
        params = _params_of(object_name)
        at = self._context.now()
        today = Interval(at.date(), at.date(), at)
        with tempfile.TemporaryDirectory(prefix="describe-") as folder:
            staged, scratch = Path(folder, "staged"), Path(folder, "pages")
            with ApiClient(self._connection, self._context, scratch, retry_seconds=_DESCRIBE_SECONDS) as client:
                pages = Pages(client, params, self._connection.pagination, lambda: None, most_pages=1)
                blocks = pages.blocks(first_request(self._connection, params, today, client.resolve))
                first = list(itertools.islice(blocks, 1))
            reading = read_files(
                [_as_file(block, Path(folder, "rows.ndjson")) for block in first], json_lines(params, []), staged
            )
            rows = sample_rows([staged / file.name for file in reading.files], reading.schema, sample_rows_wanted)
        return ObjectDescription(object_name, reading.schema, rows)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read all pages of the request."""
        params = request.params
        assert isinstance(params, ApiExtraction)
        return ApiReading(self._connection, self._context, params, request).read()


def _params_of(object_name: str) -> ApiExtraction:
    try:
        return ApiExtraction(path=object_name)
    except ValidationError as error:
        raise ObjectMissing(join_problems(problems_of(error, ApiExtraction))) from None


def _as_file(block: Block, path: Path) -> LocalFile:
    path.write_bytes(block.lines)
    return LocalFile(path.name, len(block.lines), moving(path))
