"""Quarantined rows and the pipeline's state over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import httpx
import pytest

from ingestion.sources.base import Cursor
from ingestion_tests.api.conftest import Makes, refused
from ingestion_tests.api.live import Live
from ingestion_tests.api.story import load_with_bad_rows

FOLLOWING = {"extraction_params": {"table": "t", "incremental_key": "at"}}
Loaded = Callable[..., str]


@pytest.fixture
def loaded(service: Live, makes: Makes) -> Loaded:
    """Makes a pipeline whose target has two rows and two quarantined ones; its id."""

    def make(table: str, cursor: Cursor | None = None, **changes: Any) -> str:
        source = makes.source(source_type="CLOUD_SQL", connection_details={"host": "localhost", "database": "d"})[
            "source_id"
        ]
        pipeline = makes.pipeline(source_id=source, target_table=table, configuration=FOLLOWING, **changes)
        load_with_bad_rows(service.settings, pipeline["pipeline_id"], table, cursor)
        return str(pipeline["pipeline_id"])

    return make


@pytest.fixture
def idle(service: Live) -> Iterator[None]:
    """Executions that a test leaves behind end with it."""
    yield
    for execution in service.store.executions.unfinished():
        service.fail(execution.execution_id)


def test_rows_are_listed_filtered_and_paged(client: httpx.Client, loaded: Loaded) -> None:
    path = f"/pipelines/{loaded('listed')}/quarantine"
    body = client.get(path, params={"page_size": 1, "page": 2}).json()
    assert body["pagination"] == {"page": 2, "page_size": 1, "total_items": 2, "total_pages": 2}
    item = body["items"][0]
    assert (item["record_id"], item["position"], item["error_code"]) == ("load-listed-000000002", "line 2", "BAD")
    assert (item["status"], item["execution_id"], item["decided_by"]) == ("OPEN", "load-listed", None)
    for filters, found in (
        ({"status": "OPEN"}, 2), ({"status": "REPLAYED"}, 0), ({"error_code": "BAD"}, 2), ({"error_code": "x"}, 0),
        ({"execution_id": "load-listed"}, 2), ({"execution_id": "other"}, 0),
    ):  # fmt: skip
        assert client.get(path, params=filters).json()["pagination"]["total_items"] == found, filters
    refused(client.get(path, params={"status": "CLOSED"}), 400, "VALIDATION_ERROR", "OPEN", "DISCARDED")


def test_a_pipeline_that_never_loaded_has_none(client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline(target_table="never_loaded")["pipeline_id"]
    assert client.get(f"/pipelines/{pipeline}/quarantine").json()["items"] == []
    refused(client.post(f"/pipelines/{pipeline}/quarantine/replay"), 409, "INVALID_STATE", "no OPEN rows")
    assert client.post(f"/pipelines/{pipeline}/quarantine/discard").json()["data"] == {"discarded": 0}
    refused(client.get("/pipelines/none/quarantine"), 404, "RESOURCE_NOT_FOUND", "Pipeline with ID 'none'")


def test_a_discard_is_done_once(client: httpx.Client, loaded: Loaded) -> None:
    path = f"/pipelines/{loaded('discarded')}/quarantine"
    wanted = {"record_ids": ["load-discarded-000000001", "load-discarded-000000001", "unknown"]}
    assert [client.post(f"{path}/discard", json=wanted).json()["data"]["discarded"] for _ in range(2)] == [1, 0]
    item = client.get(path, params={"status": "DISCARDED"}).json()["items"][0]
    assert (item["decided_by"], item["raw_row"]) == ("admin@example.com", None)
    assert client.post(f"{path}/discard").json()["data"] == {"discarded": 1}
    refused(client.post(f"{path}/discard", json={"ids": []}), 400, "VALIDATION_ERROR", "ids: unknown field")


def test_a_replay_is_an_execution(client: httpx.Client, service: Live, loaded: Loaded, idle: None) -> None:
    pipeline = loaded("replayed")
    path = f"/pipelines/{pipeline}/quarantine/replay"
    headers = {"Idempotency-Key": "replay once"}
    wanted = {"execution_id": "load-replayed", "record_ids": ["load-replayed-000000001"]}
    answer = client.post(path, json=wanted, headers=headers)
    assert answer.status_code == 202, answer.text
    data = answer.json()["data"]
    assert answer.headers["Location"].endswith(f"/executions/{data['execution_id']}")
    assert data["execution_params"] == {"quarantine_replay": wanted}
    asked = service.stored(data["execution_id"]).params().quarantine_replay
    assert asked is not None
    assert asked.record_ids == ("load-replayed-000000001",)
    again = client.post(path, json=wanted, headers=headers)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (answer.json(), "true")
    refused(client.post(path), 409, "PIPELINE_ALREADY_RUNNING", data["execution_id"])
    refused(client.post(f"/pipelines/{pipeline}/quarantine/discard"), 409, "PIPELINE_ALREADY_RUNNING")
    service.fail(data["execution_id"])
    retried = client.post(f"/executions/{data['execution_id']}/retry").json()["data"]
    assert retried["execution_params"]["quarantine_replay"] == wanted
    service.fail(retried["execution_id"])
    client.put(f"/pipelines/{pipeline}", json={"is_active": False})
    refused(client.post(path), 400, "INVALID_CONFIGURATION", "is not active")


def test_only_a_replay_may_say_that_it_is_one(client: httpx.Client, makes: Makes) -> None:
    path = f"/pipelines/{makes.pipeline()['pipeline_id']}/execute"
    body: dict[str, Any] = {"execution_params": {"quarantine_replay": {}}}
    refused(client.post(path, json=body), 400, "VALIDATION_ERROR", "quarantine_replay: is reserved")


def test_the_cursor_is_set_reset_and_keeps_its_previous_value(client: httpx.Client, loaded: Loaded) -> None:
    path = f"/pipelines/{loaded('followed', Cursor('at', '2024-01-02 00:00:00+00'))}/state"
    read = client.get(path)
    assert read.json()["data"] | {"pipeline_id": "", "set_at": ""} == {
        "pipeline_id": "", "target_dataset": "sales_data", "target_table": "followed",
        "cursor": {"key": "at", "value": "2024-01-02 00:00:00+00"}, "previous_value": None,
        "execution_id": "load-followed", "set_by": "load-followed", "set_at": "", "loaded_objects": 0,
    }  # fmt: skip
    assert client.get(path, headers={"If-None-Match": read.headers["ETag"]}).status_code == 304
    change = {"cursor": {"key": "at", "value": "2024-01-01T00:00:00Z"}}
    put = client.put(path, json=change, headers={"If-Match": read.headers["ETag"]})
    assert put.status_code == 200, put.text
    data = put.json()["data"]
    assert (data["cursor"], data["previous_value"]) == (change["cursor"], "2024-01-02 00:00:00+00")
    assert (data["execution_id"], data["set_by"]) == (None, "admin@example.com")
    stale = client.put(path, json={"cursor": None}, headers={"If-Match": read.headers["ETag"]})
    refused(stale, 412, "PRECONDITION_FAILED", "If-Match")
    reset = client.put(path, json={"cursor": None}).json()["data"]
    assert (reset["cursor"], reset["previous_value"]) == (None, "2024-01-01T00:00:00Z")


def test_a_cursor_that_cannot_be_is_refused(
    client: httpx.Client, service: Live, makes: Makes, loaded: Loaded, idle: None
) -> None:
    pipeline = loaded("checked")
    path = f"/pipelines/{pipeline}/state"
    for cursor, word in (
        ({"key": "at", "value": "yesterday"}, "cursor.value: 'yesterday' is not a value of the column at"),
        ({"key": "id", "value": "1"}, "cursor.key: the pipeline follows 'at', not 'id'"),
        ({"key": "at"}, "cursor.value"),
    ):
        refused(client.put(path, json={"cursor": cursor}), 400, "VALIDATION_ERROR", word)
    refused(client.put(path, json={}), 400, "VALIDATION_ERROR", "cursor")
    never = makes.pipeline(target_table="no_table_yet")["pipeline_id"]
    refused(client.put(f"/pipelines/{never}/state", json={"cursor": None}), 409, "INVALID_STATE", "execute the pipe")
    execution = client.post(f"/pipelines/{pipeline}/execute").json()["data"]["execution_id"]
    refused(client.put(path, json={"cursor": None}), 409, "PIPELINE_ALREADY_RUNNING", execution)


def test_a_dataset_in_use_asks_to_come_back(client: httpx.Client, service: Live, loaded: Loaded) -> None:
    path = f"/pipelines/{loaded('in_use')}/state"
    with duckdb.connect(str(service.settings.warehouse_dir / "sales_data.duckdb")):
        answer = client.get(path)
    refused(answer, 503, "SERVICE_UNAVAILABLE", "has been held by")
    assert int(answer.headers["Retry-After"]) > 0
