"""Sources: defined, merged, tested, described."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ingestion.model.source import SourceStatus
from ingestion_tests.api.conftest import SOURCE, Makes, refused
from ingestion_tests.api.live import Live

DATABASE: dict[str, Any] = {
    "instance_name": "customer-db-instance",
    "database": "customers",
    "region": "us-central1",
    "credentials": {"username": "db-user", "password_secret": "projects/p/secrets/db-password"},
}


def put(client: httpx.Client, source: dict[str, Any], body: dict[str, Any], **options: Any) -> httpx.Response:
    return client.put(f"/sources/{source['source_id']}", json=body, **options)


def test_what_is_left_out_has_its_default(makes: Makes) -> None:
    source = makes.source(description=None, name="  Trimmed  ")
    assert (source["name"], source["schema_version"]) == ("Trimmed", "1.0")
    assert (source["description"], source["is_active"], source["status"]) == (None, True, "UNKNOWN")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nme": 1}, ("nme: unknown field; known fields are name, source_type, connection_details",)),
        ({"name": 5}, ("name: input should be a valid string, not 5",)),
        ({"name": " \t"}, ("name",)),
        ({"is_active": "true"}, ("is_active: input should be a valid boolean, not 'true'",)),
        ({"source_type": "FTP"}, ("source_type: 'FTP' is not one of 'GCS', 'CLOUD_SQL'",)),
        ({"source_type": ["GCS"]}, ("source_type",)),
        ({"schema_version": None}, ("schema_version",)),
        ({"connection_details": {"bucket": "b"}}, ("connection_details.bucket_name: required", "details.bucket: unk")),
        ({"connection_details": {"bucket_name": "a/b"}}, ("connection_details.bucket_name: 'a/b' is not a bucket",)),
        ({"source_type": "CLOUD_SQL", "connection_details": DATABASE | {"port": "5432"}}, ("details.port", "'5432'")),
        ({"status": "CONNECTED"}, ("status: unknown field",)),
        ({"name": 5, "source_type": "FTP", "x": 1}, ("name: ", "source_type: ", "x: ")),
    ],
)
def test_every_problem_of_a_definition_is_named(client: httpx.Client, changes: dict[str, Any], words: Any) -> None:
    refused(client.post("/sources", json=SOURCE | changes), 400, "VALIDATION_ERROR", *words)


def test_a_plain_text_secret_is_refused_without_repeating_it(client: httpx.Client) -> None:
    details = DATABASE | {"credentials": {"username": "u", "password_secret": "hunter2"}}
    answer = client.post("/sources", json=SOURCE | {"source_type": "CLOUD_SQL", "connection_details": details})
    refused(answer, 400, "VALIDATION_ERROR", "connection_details.credentials.password_secret", "env://NAME")
    assert "hunter2" not in answer.text


def test_lists_leave_credentials_out_and_single_reads_show_references(client: httpx.Client, makes: Makes) -> None:
    source = makes.source(source_type="CLOUD_SQL", connection_details=DATABASE)
    assert source["connection_details"] == DATABASE
    assert client.get(f"/sources/{source['source_id']}").json()["data"]["connection_details"] == DATABASE
    (listed,) = [
        item
        for item in client.get("/sources?page_size=100&source_type=CLOUD_SQL").json()["items"]
        if item["source_id"] == source["source_id"]
    ]
    assert listed["connection_details"] == {n: v for n, v in DATABASE.items() if n != "credentials"}
    answer = put(client, source, listed | {"description": "put back from a list"})
    assert answer.json()["data"]["connection_details"] == DATABASE, "a merge keeps the credentials"


def test_an_update_merges_and_null_clears(client: httpx.Client, makes: Makes) -> None:
    source = makes.source(schema_version="2.0")
    changes = {"connection_details": {"project_id": "p", "file_pattern": None}, "description": None}
    changed = put(client, source, changes | {"schema_version": None}).json()["data"]
    assert changed["connection_details"] == {"bucket_name": "sales-data-bucket", "project_id": "p"}
    assert (changed["description"], changed["schema_version"]) == (None, "1.0")
    assert changed["created_at"] == source["created_at"]
    refused(put(client, source, {"name": None}), 400, "VALIDATION_ERROR", "name: required")
    refused(put(client, source, {"connection_details": 5}), 400, "VALIDATION_ERROR", "connection_details")
    refused(put(client, source, {"connection_details": {"x": 1}}), 400, "VALIDATION_ERROR", "connection_details.x")


def test_read_only_fields_may_come_back_unchanged(client: httpx.Client, makes: Makes) -> None:
    source = makes.source()
    changed = put(client, source, source | {"description": "one field"})
    assert changed.json()["data"]["description"] == "one field"
    for name in ("source_id", "created_at", "created_by", "updated_at", "updated_by", "status"):
        answer = put(client, source, {name: "another"})
        refused(answer, 400, "VALIDATION_ERROR", f"{name}: is read-only and has the value ")
    refused(put(client, source, {"source_type": "API"}), 400, "VALIDATION_ERROR", "source_type: cannot be changed")
    refused(put(client, source, {"nme": 1, "status": 5}), 400, "VALIDATION_ERROR", "nme: unknown", "status: is read")


def test_nothing_changes_when_nothing_is_changed(client: httpx.Client, makes: Makes) -> None:
    source = makes.source()
    answer = put(client, source, {"name": source["name"]})
    assert (answer.json()["data"], answer.headers["etag"]) == (source, 'W/"v1"')


def test_the_status_follows_what_is_known(service: Live, client: httpx.Client, makes: Makes) -> None:
    source = makes.source()
    service.store.sources.set_status(source["source_id"], SourceStatus.CONNECTED)
    assert put(client, source, {"description": "x"}).json()["data"]["status"] == "CONNECTED"
    assert put(client, source, {"connection_details": {"project_id": "p"}}).json()["data"]["status"] == "UNKNOWN"
    assert put(client, source, {"is_active": False}).json()["data"]["status"] == "DISCONNECTED"
    assert put(client, source, {"description": "y"}).json()["data"]["status"] == "DISCONNECTED"
    assert put(client, source, {"is_active": True}).json()["data"]["status"] == "UNKNOWN"
    assert makes.source(is_active=False)["status"] == "DISCONNECTED"


def test_conditional_requests(service: Live, client: httpx.Client, makes: Makes) -> None:
    source = makes.source()
    path = f"/sources/{source['source_id']}"
    first = client.get(path).headers["etag"]
    answer = client.get(path, headers={"If-None-Match": first})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", first)
    service.store.sources.set_status(source["source_id"], SourceStatus.CONNECTED)
    assert client.get(path, headers={"If-None-Match": first}).status_code == 200, "the status is shown too"
    changed = put(client, source, {"description": "x"}, headers={"If-Match": first})
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"v2-connected"')
    refused(put(client, source, {"description": "y"}, headers={"If-Match": first}), 412, "PRECONDITION_FAILED", "v2")
    refused(client.delete(path, headers={"If-Match": first}), 412, "PRECONDITION_FAILED")
    assert client.delete(path, headers={"If-Match": changed.headers["etag"]}).status_code == 200
    refused(client.get(path), 404, "RESOURCE_NOT_FOUND")


def test_validate_only_checks_everything_and_stores_nothing(client: httpx.Client, makes: Makes) -> None:
    source = makes.source()
    before = client.get("/sources").json()["pagination"]
    answer = client.post("/sources?validate_only=true", json=SOURCE | {"name": "only checked"})
    assert answer.status_code == 200
    assert list(answer.json()["data"]) == list(source)
    refused(
        client.post("/sources?validate_only=1", json=SOURCE | {"name": source["name"]}), 409, "RESOURCE_ALREADY_EXISTS"
    )
    refused(client.post("/sources?validate_only=maybe", json=SOURCE), 400, "VALIDATION_ERROR", "validate_only")
    changed = put(client, source, {"description": "checked"}, params={"validate_only": "true"})
    assert changed.json()["data"]["description"] == "checked"
    assert client.get(f"/sources/{source['source_id']}").json()["data"] == source
    assert client.get("/sources").json()["pagination"] == before


def test_filters_and_links(client: httpx.Client, makes: Makes) -> None:
    for _ in range(3):
        makes.source(source_type="CLOUD_SQL", connection_details=DATABASE)
    answer = client.get("/sources", params={"source_type": "CLOUD_SQL", "page": 2, "page_size": 1, "extra": "a b"})
    total = answer.json()["pagination"]["total_items"]
    assert [item["source_type"] for item in answer.json()["items"]] == ["CLOUD_SQL"]
    assert set(answer.links) == {"first", "prev", "next", "last"}
    following = httpx.URL(answer.links["next"]["url"])
    assert dict(following.params) == {"source_type": "CLOUD_SQL", "page": "3", "page_size": "1", "extra": "a b"}
    assert httpx.URL(answer.links["last"]["url"]).params["page"] == str(total)
    assert client.get(str(following)).json()["pagination"]["page"] == 3
    past = client.get("/sources", params={"page": 10**9})
    assert (past.status_code, past.json()["items"]) == (200, [])
    assert past.json()["pagination"]["total_items"] >= 3
    empty = client.get("/sources?status=ERROR&source_type=SFTP").json()
    assert empty["pagination"] == {"page": 1, "page_size": 20, "total_items": 0, "total_pages": 0}


def test_a_connection_test_says_what_it_found(service: Live, client: httpx.Client) -> None:
    service.put_object("tested", "a.csv", "x\n1\n")
    body = {"source_type": "GCS", "connection_details": {"bucket_name": "tested", "file_pattern": "*.csv"}}
    answer = client.post("/sources/test-connection", json=body).json()
    assert list(answer) == [
        "status",
        "message",
        "metadata",
        "connection_successful",
        "connection_details",
        "test_results",
    ]
    assert answer["connection_successful"] is True
    assert answer["connection_details"]["available_objects"] == 1
    failed = client.post(
        "/sources/test-connection", json=body | {"connection_details": {"bucket_name": "not-there-at-all"}}
    )
    assert (failed.status_code, failed.json()["message"]) == (200, "Connection test completed")
    assert failed.json()["connection_successful"] is False
    assert failed.json()["test_results"]["reason"]
    details = DATABASE | {"credentials": {"username": "u", "password_secret": "env://NOT_SET_ANYWHERE"}}
    secretless = client.post(
        "/sources/test-connection", json={"source_type": "CLOUD_SQL", "connection_details": _by_host(details)}
    )
    assert secretless.status_code == 200
    assert secretless.json()["connection_successful"] is False
    assert secretless.json()["test_results"]["error_code"]


def _by_host(details: dict[str, Any]) -> dict[str, Any]:
    return {"host": "127.0.0.1", **{name: value for name, value in details.items() if name != "instance_name"}}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"test_parameters": {"timeout_seconds": 121}}, "VALIDATION_ERROR", ("test_parameters.timeout_seconds", "121")),
        ({"test_parameters": {"timeout_seconds": 0}}, "VALIDATION_ERROR", ("test_parameters.timeout_seconds",)),
        ({"test_parameters": {"retries": 1}}, "VALIDATION_ERROR", ("test_parameters.retries",)),
        ({"connection_details": {}}, "VALIDATION_ERROR", ("connection_details.bucket_name",)),
    ],
)
def test_a_connection_test_that_cannot_be_made(client: httpx.Client, changes: Any, code: str, words: Any) -> None:
    body = {"source_type": "GCS", "connection_details": {"bucket_name": "b"}} | changes
    refused(client.post("/sources/test-connection", json=body), 400, code, *words)


def test_a_schema_by_names_with_slashes_and_globs(service: Live, client: httpx.Client, makes: Makes) -> None:
    service.put_object("schemas", "2024/01/a b.csv", "id,name\n1,x\n")
    source = makes.source(connection_details={"bucket_name": "schemas"})
    for name in ("2024/01/*.csv", "2024/01/a%20b.csv", "2024%2F01%2F%2A.csv"):
        answer = client.get(f"/sources/{source['source_id']}/schema/{name}")
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert [list(found) for found in data["fields"]] == [["name", "type", "mode", "description"]] * 2
        assert data["sample_data"] == [{"id": 1, "name": "x"}]
    assert client.get(f"/sources/{source['source_id']}").json()["data"]["status"] == "CONNECTED"


def test_sample_values_are_for_those_who_may_touch_sources(service: Live, makes: Makes) -> None:
    service.put_object("masked", "a.csv", "id,name\n1,x\n2,\n")
    source = makes.source(connection_details={"bucket_name": "masked"})
    with service.client("read_only") as reader:
        data = reader.get(f"/sources/{source['source_id']}/schema/a.csv").json()["data"]
    assert data["sample_data"] == [{"id": "***", "name": "***"}, {"id": "***", "name": None}]


def test_a_schema_that_is_not_there(service: Live, client: httpx.Client, makes: Makes) -> None:
    service.put_object("schemas", "a.csv", "id\n1\n")
    source_id = makes.source(connection_details={"bucket_name": "schemas"})["source_id"]
    refused(client.get(f"/sources/{source_id}/schema/none.csv"), 404, "RESOURCE_NOT_FOUND", "none.csv")
    for name in ("%2e%2e/secret", "a/%2e%2e/b", "x%00"):
        refused(client.get(f"/sources/{source_id}/schema/{name}"), 400, "VALIDATION_ERROR", "object_name")
    refused(client.get("/sources/none/schema/a.csv"), 404, "RESOURCE_NOT_FOUND", "Source system with ID 'none'")


def test_changes_reach_dagster_once_for_many(service: Live, makes: Makes, client: httpx.Client) -> None:
    before = service.dagster.reloads
    for _ in range(5):
        makes.source()
    service.wait_until(lambda: service.dagster.reloads > before)
    assert service.dagster.reloads <= before + 2
