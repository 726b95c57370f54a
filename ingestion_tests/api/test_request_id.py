"""Request ids: taken when safe, made when not, in answers and logs."""

from __future__ import annotations

import logging
import uuid

import httpx
import pytest

from api.request_id import RequestIdFilter
from ingestion_tests.api.live import Live


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "trace/1:2=3+4@x._"])
def test_a_safe_id_is_kept(client: httpx.Client, given: str) -> None:
    assert client.get("/sources", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["a" * 129, "a b", "a\tb", "<script>", "é"])
def test_any_other_is_replaced(client: httpx.Client, given: str) -> None:
    answer = client.get("/sources", headers=[(b"X-Request-ID", given.encode())])
    assert uuid.UUID(answer.headers["x-request-id"])


def test_every_answer_has_one(service: Live, client: httpx.Client) -> None:
    for url in ("/nothing", "/sources/x"):
        assert client.get(url).headers["x-request-id"]
    for url in ("/healthz", "/docs", "/openapi.json", "/nowhere"):
        assert httpx.get(service.url + url).headers["x-request-id"]


def test_the_log_tells_of_the_request_but_not_of_its_secrets(
    service: Live, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == "ingestion.api.access"]

    caplog.handler.addFilter(RequestIdFilter())
    with caplog.at_level(logging.INFO, logger="ingestion.api.access"):
        client.get("/sources?access_token=hunter2", headers={"X-Request-ID": "logged-1"})
        service.wait_until(lambda: len(told()) > 0)  # The client has its answer before the log has its line.
    (record,) = told()
    assert record.getMessage().startswith("GET '/api/v1/ingestion/sources' 200 ")
    assert record.request_id == "logged-1"  # type: ignore[attr-defined]
    assert "hunter2" not in caplog.text
    assert client.headers["authorization"] not in caplog.text
