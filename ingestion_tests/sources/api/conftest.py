"""Fixtures of the tests of API sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.model.connections import ApiConnection
from ingestion.model.extraction import ApiExtraction
from ingestion.sources.api.connector import ApiConnector
from ingestion.sources.base import ConnectorContext, Extraction
from ingestion_tests.servers.http_api import HttpApi
from ingestion_tests.sources.conftest import AT, request_for

SECRETS = {"env://CLIENT_SECRET": "s3cret-value", "env://WRONG": "wr0ng-value", "env://KEY": "k3y/value+1"}
ROWS: list[dict[str, Any]] = [
    {"id": number, "name": f"n{number}", "amount": number / 4, "place": {"city": "B", "zip": f"{number:05d}"}}
    for number in range(1050)
]


@pytest.fixture(scope="session")
def running_http_api() -> Iterator[HttpApi]:
    """One server for the whole session."""
    with HttpApi() as server:
        yield server


@pytest.fixture
def http_api(running_http_api: HttpApi) -> HttpApi:
    """The server as if just started, with ROWS."""
    running_http_api.reset(ROWS)
    return running_http_api


@pytest.fixture
def api_context(tmp_path: Path) -> ConnectorContext:
    """A deployment that knows SECRETS."""
    return ConnectorContext(
        buckets_dir=tmp_path / "buckets", gcs_endpoint=None, resolve_secret=SECRETS.__getitem__, now=lambda: AT
    )


@pytest.fixture
def connects(http_api: HttpApi, api_context: ConnectorContext) -> Callable[..., ApiConnector]:
    """Makes a connector of the server with other connection details."""

    def make(**details: Any) -> ApiConnector:
        return ApiConnector(ApiConnection.model_validate({"endpoint_url": http_api.url} | details), api_context)

    return make


class Extracts:
    """Extracts from the server: `connection` are changed details, `request` changes of the request."""

    def __init__(self, connects: Callable[..., ApiConnector], folder: Path) -> None:
        self._connects = connects
        self._folder = folder
        self._count = 0
        self.folder = folder

    def __call__(
        self, path: str, connection: dict[str, Any] | None = None, request: dict[str, Any] | None = None, **params: Any
    ) -> Extraction:
        self._count += 1
        self.folder = self._folder / f"extract-{self._count}"
        self.folder.mkdir()
        asked = request_for(ApiExtraction.model_validate({"path": path} | params), self.folder, **(request or {}))
        return self._connects(**(connection or {})).extract(asked)

    def rows(self, extraction: Extraction) -> list[dict[str, Any]]:
        """What was staged."""
        return [row for file in extraction.files for row in pq.read_table(self.folder / file.name).to_pylist()]

    def rejects(self, extraction: Extraction) -> list[dict[str, Any]]:
        """What was rejected."""
        return [row for file in extraction.rejects for row in pq.read_table(self.folder / file.name).to_pylist()]


@pytest.fixture
def extracts(connects: Callable[..., ApiConnector], tmp_path: Path) -> Extracts:
    """Extracts from the server."""
    return Extracts(connects, tmp_path)


def ids(rows: Sequence[dict[str, Any]]) -> list[int]:
    """The ids in their order."""
    return [row["id"] for row in rows]
