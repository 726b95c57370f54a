"""Bad input answers in the error envelope, says what is wrong, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from api.auth.tokens import issue_token
from ingestion.settings import Settings
from ingestion_tests.servers.stack import Stack
from ingestion_tests.wire.golden import CONTRACT

SOURCE = CONTRACT["Create Data Source"]["request"]
PIPELINE = CONTRACT["Create Pipeline"]["request"]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def ids(stack: Stack) -> dict[str, str]:
    with stack.client() as client:
        source = client.post("/sources", json=SOURCE | {"name": "Bad input"}).json()["data"]["source_id"]
        body = PIPELINE | {"source_id": source, "pipeline_name": "Bad input", "target_table": "bad_input"}
        pipeline = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
    return {"source": source, "pipeline": pipeline}


@pytest.fixture(autouse=True)
def _nothing_changes(client: httpx.Client, ids: dict[str, str]) -> Iterator[None]:
    def everything() -> Any:
        lists = [client.get(path, params={"page_size": 100}).json() for path in ("/sources", "/pipelines")]
        return [*lists, client.get(f"/pipelines/{ids['pipeline']}/executions").json()]

    before = everything()
    yield
    assert everything() == before


def refused(answer: httpx.Response, status: int, error: str, *words: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["status", "error", "message"]
    assert body["status"] == "error"
    assert body["error"] == error
    for word in words:
        assert word in body["message"], body["message"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"name": "x"', ()),
        (b"", ()),
        (b"[]", ("object",)),
        (b'"text"', ("object",)),
        (b'{"name": "a", "name": "b"}', ("name",)),
        (b'{"name": NaN}', ("NaN",)),
        (b'{"name": Infinity}', ("Infinity",)),
        (b'{"name": "\xff"}', ()),
        (b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ()),
        (b"{'name': 'x'}", ()),
    ],
)
def test_a_body_that_is_not_a_json_object(client: httpx.Client, content: bytes, words: tuple[str, ...]) -> None:
    refused(client.post("/sources", content=content, headers=JSON), 400, "VALIDATION_ERROR", *words)


def test_a_body_of_two_megabytes(client: httpx.Client) -> None:
    content = json.dumps(SOURCE | {"name": "Large", "description": "x" * 2_000_000}).encode()
    refused(client.post("/sources", content=content, headers=JSON), 413, "PAYLOAD_TOO_LARGE")

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    refused(client.post("/sources", content=chunks(), headers=JSON), 413, "PAYLOAD_TOO_LARGE")


def test_a_body_of_another_media_type(client: httpx.Client) -> None:
    answer = client.post("/sources", content=json.dumps(SOURCE), headers={"Content-Type": "text/plain"})
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE", "application/json")


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (body | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nme": "x"}, ("nme", "unknown", "name")),
        ({"name": ...}, ("name", "missing")),
        ({"name": 5}, ("name", "5")),
        ({"name": ""}, ("name",)),
        ({"name": "   "}, ("name",)),
        ({"name": None}, ("name",)),
        ({"is_active": "perhaps"}, ("is_active",)),
        ({"source_type": "FTP"}, ("source_type", "FTP", "SFTP")),
        ({"connection_details": {}}, ("connection_details.bucket_name", "missing")),
        ({"connection_details": []}, ("connection_details",)),
        ({"connection_details": {"bucket_name": "b", "bucket": "c"}}, ("connection_details.bucket", "bucket_name")),
        ({"connection_details": {"bucket_name": "../etc"}}, ("connection_details.bucket_name",)),
        ({"source_id": "mine"}, ("source_id",)),
        ({"nme": 1, "source_type": "FTP"}, ("nme", "source_type")),
    ],
)
def test_a_source_with_a_wrong_field(client: httpx.Client, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    body = changed(SOURCE, **({"name": "Never stored"} | changes))
    refused(client.post("/sources", json=body), 400, "VALIDATION_ERROR", *words)


def test_a_plain_text_secret_is_refused_and_not_repeated(client: httpx.Client) -> None:
    details = {
        "host": "localhost",
        "database": "d",
        "credentials": {"username": "u", "password_secret": "correct horse battery"},
    }
    body = {"name": "Plain secret", "source_type": "CLOUD_SQL", "connection_details": details}
    answer = client.post("/sources", json=body)
    refused(answer, 400, "VALIDATION_ERROR", "password_secret", "projects/", "env://", "file://")
    assert "correct horse" not in answer.text
    details = {"endpoint_url": "https://api.example.com", "headers": {"Authorization": "Bearer abcdef"}}
    answer = client.post("/sources", json={"name": "Plain header", "source_type": "API", "connection_details": details})
    refused(answer, 400, "VALIDATION_ERROR", "Authorization")
    assert "abcdef" not in answer.text


def test_a_name_that_is_taken(client: httpx.Client, ids: dict[str, str]) -> None:
    refused(client.post("/sources", json=SOURCE | {"name": "Bad input"}), 409, "RESOURCE_ALREADY_EXISTS", "Bad input")
    body = PIPELINE | {"source_id": ids["source"], "pipeline_name": "Bad input"}
    refused(client.post("/pipelines", json=body), 409, "RESOURCE_ALREADY_EXISTS", "Bad input")


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"schedule": "every day"}, ("schedule", "every day", "cron")),
        ({"schedule": "61 * * * *"}, ("schedule", "61")),
        ({"schedule": "0 2 * * * *"}, ("schedule", "five")),
        ({"timezone": "Mars/Olympus"}, ("timezone", "Mars/Olympus")),
        ({"extraction_params": {"file_patern": "x"}}, ("file_patern", "file_pattern")),
        ({"extraction_params": {"file_pattern": "sales_{{yesterday}}.csv"}}, ("yesterday", "ds")),
        ({"extraction_params": {"skip_header_rows": -1}}, ("skip_header_rows", "-1")),
        ({"extraction_params": {"file_format": "XLSX"}}, ("file_format", "XLSX", "CSV")),
        ({"transformation_params": {"filter": "1; DROP TABLE x"}}, ("filter",)),
        ({"transformation_params": {"calculated_fields": {"x": "quantity *"}}}, ("calculated_fields", "x")),
        ({"load_params": {"write_disposition": "REPLACE"}}, ("write_disposition", "REPLACE", "WRITE_TRUNCATE")),
        ({"quality_params": {"checks": [{"check": "not_null"}]}}, ("quality_params.checks.0", "column")),
        ({"retries": 3}, ("retries", "schedule")),
        ({"schedule": "bad", "timezone": "bad"}, ("schedule", "timezone")),
    ],
)
def test_a_pipeline_with_a_wrong_configuration(
    client: httpx.Client, ids: dict[str, str], configuration: dict[str, Any], words: tuple[str, ...]
) -> None:
    body = PIPELINE | {"source_id": ids["source"], "pipeline_name": "Never stored", "configuration": configuration}
    refused(client.post("/pipelines", json=body), 400, "INVALID_CONFIGURATION", *words)
    answer = client.put(f"/pipelines/{ids['pipeline']}", json={"configuration": configuration})
    refused(answer, 400, "INVALID_CONFIGURATION", *words)


@pytest.mark.parametrize(
    ("changes", "status", "error", "words"),
    [
        ({"target_table": "drop table"}, 400, "VALIDATION_ERROR", ("target_table", "drop table")),
        ({"target_dataset": "../x"}, 400, "VALIDATION_ERROR", ("target_dataset",)),
        ({"dag_id": "mine"}, 400, "VALIDATION_ERROR", ("dag_id",)),
        ({"pipeline_name": ...}, 400, "VALIDATION_ERROR", ("pipeline_name", "missing")),
        ({"source_id": "no-such-source"}, 404, "RESOURCE_NOT_FOUND", ("Source system", "no-such-source")),
    ],
)
def test_a_pipeline_with_a_wrong_field(
    client: httpx.Client, ids: dict[str, str], changes: dict[str, Any], status: int, error: str, words: tuple[str, ...]
) -> None:
    body = changed(PIPELINE, **({"source_id": ids["source"], "pipeline_name": "Never stored"} | changes))
    refused(client.post("/pipelines", json=body), status, error, *words)


def test_an_unknown_macro_in_a_query(client: httpx.Client) -> None:
    details = {"host": "localhost", "database": "d"}
    body = {"name": "Macro database", "source_type": "CLOUD_SQL", "connection_details": details}
    source_id = client.post("/sources", json=body).json()["data"]["source_id"]
    try:
        for query, words in (
            ("SELECT * FROM t WHERE d >= '{{dss}}'", ("dss", "data_interval_start")),
            ("SELECT * FROM t WHERE d LIKE 'x{{ds}}%'", ("ds", "literal")),
        ):
            configuration: dict[str, Any] = {"extraction_params": {"query": query}}
            body = PIPELINE | {"source_id": source_id, "pipeline_name": "Macro", "configuration": configuration}
            refused(client.post("/pipelines", json=body), 400, "INVALID_CONFIGURATION", *words)
        both = {"extraction_params": {"query": "SELECT 1", "table": "t"}}
        for configuration in (both, {}, {"extraction_params": {}}):
            body = PIPELINE | {"source_id": source_id, "pipeline_name": "Macro", "configuration": configuration}
            refused(client.post("/pipelines", json=body), 400, "INVALID_CONFIGURATION", "table", "query")
    finally:
        assert client.delete(f"/sources/{source_id}").status_code == 200


def test_a_pipeline_that_names_nothing_of_a_dataset(client: httpx.Client) -> None:
    details = {"project_id": "p", "dataset": "d"}
    created = client.post(
        "/sources", json={"name": "A dataset", "source_type": "BIGQUERY", "connection_details": details}
    )
    source_id = created.json()["data"]["source_id"]
    body = PIPELINE | {"source_id": source_id, "pipeline_name": "Nothing", "configuration": {}}
    answer = client.post("/pipelines", json=body)
    assert client.delete(f"/sources/{source_id}").status_code == 200
    refused(answer, 400, "INVALID_CONFIGURATION", "exactly one of table and query")


@pytest.mark.parametrize(
    "odd",
    ["nope", "550e8400-e29b-41d4-a716-446655440999", "a b", "%00", "ünïcode", "'; DROP TABLE sources; --", "x" * 3000],
)
def test_an_id_that_does_not_exist(client: httpx.Client, odd: str) -> None:
    part = odd if odd.startswith("%") else quote(odd, safe="")
    for method, path in (
        ("GET", f"/sources/{part}"),
        ("PUT", f"/sources/{part}"),
        ("DELETE", f"/sources/{part}"),
        ("GET", f"/sources/{part}/schema/x"),
        ("GET", f"/pipelines/{part}"),
        ("PUT", f"/pipelines/{part}"),
        ("DELETE", f"/pipelines/{part}"),
        ("POST", f"/pipelines/{part}/execute"),
        ("GET", f"/pipelines/{part}/executions"),
        ("GET", f"/executions/{part}"),
        ("GET", f"/executions/{part}/tasks"),
        ("POST", f"/executions/{part}/cancel"),
        ("POST", f"/executions/{part}/retry"),
    ):
        body = {"description": "x"} if method == "PUT" else None
        refused(client.request(method, path, json=body), 404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("page=0", ("page", "0")),
        ("page=-1", ("page", "-1")),
        ("page=one", ("page", "one")),
        ("page=1.5", ("page", "1.5")),
        ("page_size=0", ("page_size", "0")),
        ("page_size=101", ("page_size", "101", "100")),
        ("page=0&page_size=101", ("page:", "page_size:")),
        ("source_type=FTP", ("source_type", "FTP", "GCS")),
        ("status=FINE", ("status", "FINE", "CONNECTED")),
        ("page=99999999999999999999999", ("page",)),
    ],
)
def test_a_wrong_query_parameter(client: httpx.Client, query: str, words: tuple[str, ...]) -> None:
    refused(client.get(f"/sources?{query}"), 400, "VALIDATION_ERROR", *words)


def test_wrong_filters_of_the_other_lists(client: httpx.Client, ids: dict[str, str]) -> None:
    refused(client.get("/pipelines?is_active=maybe"), 400, "VALIDATION_ERROR", "is_active", "maybe", "true")
    executions = f"/pipelines/{ids['pipeline']}/executions"
    refused(client.get(f"{executions}?status=DONE"), 400, "VALIDATION_ERROR", "DONE", "HEALING")
    refused(client.get(f"{executions}?start_date=yesterday"), 400, "VALIDATION_ERROR", "start_date", "yesterday")
    answer = client.get(f"{executions}?start_date=2024-02-02&end_date=2024-02-01")
    refused(answer, 400, "VALIDATION_ERROR", "end_date", "start_date")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"execution_params": {"batch_size": 0}}, ("batch_size", "0")),
        ({"execution_params": {"batch_size": "many"}}, ("batch_size", "many")),
        ({"execution_params": {"start_date": "soon"}}, ("start_date", "soon")),
        ({"execution_params": {"start_date": "2024-02-02", "end_date": "2024-02-01"}}, ("start_date", "end_date")),
        ({"execution_params": {"retry_of_execution_id": "x"}}, ("retry_of_execution_id",)),
        ({"execution_params": []}, ("execution_params",)),
        ({"async": True}, ("async", "async_execution")),
        ({"async_execution": "later"}, ("async_execution",)),
        ({"force_execution": 7}, ("force_execution",)),
    ],
)
def test_a_wrong_execute_call(
    client: httpx.Client, ids: dict[str, str], body: dict[str, Any], words: tuple[str, ...]
) -> None:
    refused(client.post(f"/pipelines/{ids['pipeline']}/execute", json=body), 400, "VALIDATION_ERROR", *words)


def test_read_only_fields_may_come_back_unchanged_only(client: httpx.Client, ids: dict[str, str]) -> None:
    for path in (f"/sources/{ids['source']}", f"/pipelines/{ids['pipeline']}"):
        entity = client.get(path).json()["data"]
        refused(client.put(path, json=entity | {"created_by": "me"}), 400, "VALIDATION_ERROR", "created_by")
    source = client.get(f"/sources/{ids['source']}").json()["data"]
    refused(client.put(f"/sources/{ids['source']}", json=source | {"source_type": "API"}), 400, "VALIDATION_ERROR")


def forged(token: str) -> str:
    head, payload, signature = token.split(".")
    return ".".join([head, payload, signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "not-a-token",
        lambda token: "a.b.c",
        forged,
        # alg none, and HS256 keyed with nothing
        lambda token: "eyJhbGciOiJub25lIn0." + token.split(".")[1] + ".",
        lambda token: "eyJhbGciOiJIUzI1NiJ9." + token.split(".")[1] + "." + token.split(".")[2],
    ],
)
def test_a_token_that_does_not_verify(stack: Stack, spoil: Callable[[str], str]) -> None:
    answer = httpx.get(f"{stack.api_url}/sources", headers={"Authorization": f"Bearer {spoil(stack.token())}"})
    refused(answer, 401, "AUTH_ERROR")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_no_token_or_another_scheme(stack: Stack) -> None:
    refused(httpx.get(f"{stack.api_url}/sources"), 401, "AUTH_ERROR")
    refused(httpx.get(f"{stack.api_url}/sources", headers={"Authorization": "Bearer"}), 401, "AUTH_ERROR")
    answer = httpx.get(f"{stack.api_url}/sources", headers={"Authorization": f"Basic {stack.token()}"})
    refused(answer, 401, "AUTH_ERROR")


def test_an_expired_token(stack: Stack) -> None:
    settings = Settings(home=stack.home)
    token = issue_token(settings, role="admin", subject="admin@example.com", expires_in=-120)
    headers = {"Authorization": f"Bearer {token}"}
    refused(httpx.get(f"{stack.api_url}/sources", headers=headers), 401, "AUTH_ERROR", "expired")


def test_a_role_without_the_permission(stack: Stack, ids: dict[str, str]) -> None:
    with stack.client("read_only") as reader:
        assert reader.get("/sources").status_code == 200
        refused(reader.post("/sources", json=SOURCE), 403, "PERMISSION_DENIED", "source:create")
        answer = reader.post(f"/pipelines/{ids['pipeline']}/execute")
        refused(answer, 403, "PERMISSION_DENIED", "pipeline:execute")


def test_paths_and_methods_that_do_not_exist(client: httpx.Client, stack: Stack) -> None:
    refused(client.get("/nothing/here"), 404, "RESOURCE_NOT_FOUND")
    answer = client.patch("/sources")
    refused(answer, 405, "METHOD_NOT_ALLOWED", "PATCH")
    assert {"GET", "POST"} <= {method.strip() for method in answer.headers["Allow"].split(",")}
    assert client.get("/sources/").status_code == 200
