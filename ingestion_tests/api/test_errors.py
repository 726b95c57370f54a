"""Every error path ends in one canonical shape."""

from __future__ import annotations

import json
import logging
import socket
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from api.auth.tokens import issue_token
from api.endpoint import BASE_PATH
from api.errors import STATUSES
from api.idempotency import HEADER, fingerprint_of, scoped
from ingestion.errors import LaunchFailed, ServiceUnavailable
from ingestion_tests.api.conftest import PIPELINE, SOURCE, Makes, refused
from ingestion_tests.api.live import ADMIN, Live

JSON = {"Content-Type": "application/json"}


def make_unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def missing_permission(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    token = issue_token(service.settings, "read_only", "reader")
    return client.post("/sources", json=SOURCE, headers={"Authorization": f"Bearer {token}"})


def taken_name(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    return client.post("/sources", json=SOURCE | {"name": makes.source()["name"]})


def source_in_use(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    return client.delete(f"/sources/{makes.pipeline()['source_id']}")


def busy_pipeline(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    return client.post(f"/pipelines/{makes.execution()['pipeline_id']}/execute")


def succeeded_retry(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    execution_id = makes.execution()["execution_id"]
    service.succeed(execution_id)
    return client.post(f"/executions/{execution_id}/retry")


def unreachable_source(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    details = {"host": "127.0.0.1", "port": make_unused_port(), "database": "d", "credentials": {"username": "u"}}
    source_id = makes.source(source_type="CLOUD_SQL", connection_details=details)["source_id"]
    answer = client.get(f"/sources/{source_id}/schema/t")
    assert client.get(f"/sources/{source_id}").json()["data"]["status"] == "ERROR"
    return answer


def failing_launch(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    service.dagster.launch_errors = [LaunchFailed("no such job")]
    return client.post(f"/pipelines/{makes.pipeline()['pipeline_id']}/execute")


def key_in_use(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    key, body = str(uuid.uuid4()), SOURCE | {"name": "in use"}
    service.store.idempotency.reserve(scoped(ADMIN, "POST", f"{BASE_PATH}/sources", key), fingerprint_of(body))
    answer = client.post("/sources", json=body, headers={HEADER: key})
    assert answer.headers["retry-after"] == "1"
    return answer


def key_of_another_body(service: Live, client: httpx.Client, makes: Makes) -> httpx.Response:
    key = str(uuid.uuid4())
    for name in (key, "another"):
        answer = client.post("/sources", json=SOURCE | {"name": name}, headers={HEADER: key})
    return answer


PATHS: dict[str, Callable[[Live, httpx.Client, Makes], httpx.Response]] = {
    "VALIDATION_ERROR": lambda service, client, makes: client.post("/sources", json={}),
    "INVALID_CONFIGURATION": lambda service, client, makes: client.post(
        "/pipelines",
        json=PIPELINE | {"source_id": makes.source()["source_id"], "configuration": {"schedule": "never"}},
    ),
    "AUTH_ERROR": lambda service, client, makes: client.get("/sources", headers={"Authorization": "Bearer x"}),
    "PERMISSION_DENIED": missing_permission,
    "RESOURCE_NOT_FOUND": lambda service, client, makes: client.get("/executions/none"),
    "METHOD_NOT_ALLOWED": lambda service, client, makes: client.patch("/sources"),
    "RESOURCE_ALREADY_EXISTS": taken_name,
    "RESOURCE_IN_USE": source_in_use,
    "PIPELINE_ALREADY_RUNNING": busy_pipeline,
    "INVALID_STATE": succeeded_retry,
    "IDEMPOTENCY_KEY_IN_USE": key_in_use,
    "PRECONDITION_FAILED": lambda service, client, makes: client.delete(
        f"/sources/{makes.source()['source_id']}", headers={"If-Match": 'W/"v9"'}
    ),
    "PAYLOAD_TOO_LARGE": lambda service, client, makes: client.post("/sources", json={"name": "x" * 2_000_000}),
    "UNSUPPORTED_MEDIA_TYPE": lambda service, client, makes: client.post("/sources", data={"name": "x"}),
    "IDEMPOTENCY_KEY_REUSED": key_of_another_body,
    "CONNECTION_ERROR": unreachable_source,
    "EXECUTION_ERROR": failing_launch,
}


@pytest.mark.parametrize("code", PATHS)
def test_one_shape(code: str, service: Live, client: httpx.Client, makes: Makes) -> None:
    answer = PATHS[code](service, client, makes)
    refused(answer, STATUSES[code], code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert ("www-authenticate" in answer.headers) == (answer.status_code in (401, 403))
    assert ("allow" in answer.headers) == (answer.status_code == 405)


@pytest.mark.parametrize("code", PATHS)
def test_the_same_as_problem_details(code: str, service: Live, makes: Makes) -> None:
    with service.client(headers_more={"Accept": "application/problem+json"}) as client:
        answer = PATHS[code](service, client, makes)
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (STATUSES[code], code)
    assert body["detail"]
    if code == "VALIDATION_ERROR":
        assert {"field": "name", "message": "required field is missing"} in body["errors"]


@pytest.fixture
def broken_store(service: Live, monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    def break_with(error: Exception) -> None:
        def fail(*_: Any) -> None:
            raise error

        monkeypatch.setattr(service.store.sources, "get", fail)

    return break_with


def test_an_unexpected_error_tells_nothing_but_is_logged(
    service: Live, client: httpx.Client, broken_store: Callable[[Exception], None], caplog: pytest.LogCaptureFixture
) -> None:
    broken_store(RuntimeError("the password is hunter2"))
    with caplog.at_level(logging.ERROR, logger="ingestion.api"):
        answer = client.get("/sources/x")
    refused(answer, 500, "INTERNAL_ERROR", "request id")
    assert "hunter2" not in answer.text
    assert answer.headers["x-request-id"]
    assert "hunter2" in caplog.text


def test_an_unavailable_part_is_503_with_a_time_to_wait(
    client: httpx.Client, broken_store: Callable[[Exception], None]
) -> None:
    broken_store(ServiceUnavailable("the database does not answer"))
    answer = client.get("/sources/x")
    refused(answer, 503, "SERVICE_UNAVAILABLE", "database")
    assert int(answer.headers["retry-after"]) > 0


def test_every_code_of_the_table_was_driven() -> None:
    assert set(PATHS) | {"INTERNAL_ERROR", "SERVICE_UNAVAILABLE"} == set(STATUSES)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Content-Type": "application/json; charset=utf-8"}, 400),
        ({"Content-Type": 'application/json; charset="UTF-8"'}, 400),
        ({"Content-Type": "application/merge-patch+json"}, 400),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/jsonp"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_media_types(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert client.post("/sources", content=b"{}", headers=headers).status_code == status


def test_a_long_body_is_refused_before_it_has_come(service: Live, client: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64:
            sent += 1
            yield b" " * 65536

    refused(client.post("/sources", content=endless(), headers=JSON), 413, "PAYLOAD_TOO_LARGE", "1048576")
    host, port = httpx.URL(service.url).host, httpx.URL(service.url).port
    token = client.headers["authorization"]
    with socket.create_connection((host, port or 80), timeout=10) as connection:
        connection.sendall(
            f"POST /api/v1/ingestion/sources HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: 9999999\r\n\r\n".encode()
        )
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


def test_permissions_come_before_the_body(service: Live) -> None:
    with service.client("read_only") as reader:
        refused(reader.post("/sources", content=b"{", headers=JSON), 403, "PERMISSION_DENIED", "source:create")


def test_an_empty_body_is_fine_where_nothing_is_needed(client: httpx.Client) -> None:
    for path in ("/pipelines/none/execute", "/executions/none/retry", "/executions/none/cancel"):
        for content, headers in ((b"", {}), (b"", JSON), (b"  ", {}), (b"{}", JSON)):
            refused(client.post(path, content=content, headers=headers), 404, "RESOURCE_NOT_FOUND", "'none'")
    refused(client.post("/executions/none/cancel", json={"why": 1}), 400, "VALIDATION_ERROR", "why")
    refused(client.post("/sources", headers=JSON), 400, "VALIDATION_ERROR", "empty")


def test_messages_are_json_and_quote_what_was_sent(client: httpx.Client) -> None:
    answer = client.get("/sources/ünï-\"'")
    refused(answer, 404, "RESOURCE_NOT_FOUND", "Source system with ID 'ünï-\"'' not found")
    assert json.loads(answer.content)["message"] == "Source system with ID 'ünï-\"'' not found"
