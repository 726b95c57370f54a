"""A running application per module, and clients of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ingestion_tests.api.live import Live, live

SOURCE: dict[str, Any] = {
    "name": "Sales Data Bucket",
    "source_type": "GCS",
    "connection_details": {"bucket_name": "sales-data-bucket", "file_pattern": "*.csv"},
    "description": "GCS bucket containing sales data CSV files",
}
PIPELINE: dict[str, Any] = {
    "pipeline_name": "Daily Sales Data Import",
    "target_dataset": "sales_data",
    "target_table": "daily_sales",
    "configuration": {
        "schedule": "0 2 * * *",
        "extraction_params": {"file_pattern": "sales_*.csv", "field_delimiter": ",", "skip_header_rows": 1},
        "transformation_params": {"apply_schema": True, "convert_timestamps": True},
    },
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("api") / "home") as running:
        yield running


@pytest.fixture
def client(service: Live) -> Iterator[httpx.Client]:
    with service.client() as admin:
        yield admin


class Makes:
    """Makes resources with names of their own."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def source(self, **changes: Any) -> dict[str, Any]:
        return self._made("/sources", SOURCE | {"name": self._name()} | changes)

    def pipeline(self, **changes: Any) -> dict[str, Any]:
        body = PIPELINE | {"pipeline_name": self._name()} | changes
        if "source_id" not in body:
            body["source_id"] = self.source()["source_id"]
        return self._made("/pipelines", body)

    def execution(self, **body: Any) -> dict[str, Any]:
        answer = self._client.post(f"/pipelines/{self.pipeline()['pipeline_id']}/execute", json=body)
        assert answer.status_code == 202, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def _name(self) -> str:
        return f"made {uuid.uuid4()}"


@pytest.fixture
def makes(client: httpx.Client) -> Makes:
    return Makes(client)


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> None:
    """The answer is an error in its one shape, and its message has these words."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["status", "error", "message"]
    assert (body["status"], body["error"]) == ("error", code)
    for word in words:
        assert word in body["message"], body["message"]
