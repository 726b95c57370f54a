"""Pipelines: checked against their source, merged, deleted only when idle."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ingestion_tests.api.conftest import PIPELINE, Makes, refused
from ingestion_tests.api.live import Live

POSTGRES = {"host": "localhost", "database": "d"}


def put(client: httpx.Client, pipeline: dict[str, Any], body: dict[str, Any], **options: Any) -> httpx.Response:
    return client.put(f"/pipelines/{pipeline['pipeline_id']}", json=body, **options)


@pytest.fixture
def database(makes: Makes) -> str:
    return str(makes.source(source_type="CLOUD_SQL", connection_details=POSTGRES)["source_id"])


def test_what_is_left_out_has_its_default(client: httpx.Client, makes: Makes) -> None:
    body = {"pipeline_name": "bare", "target_dataset": "d", "target_table": "bare_table"}
    answer = client.post("/pipelines", json=body | {"source_id": makes.source()["source_id"]})
    data = answer.json()["data"]
    assert (data["configuration"], data["description"], data["is_active"]) == ({}, None, True)
    assert data["dag_id"] == "gcs_to_bq_bare_table"
    assert makes.pipeline(target_table="bare_table")["dag_id"] == "gcs_to_bq_bare_table_2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dag_id": "mine"}, ("dag_id: unknown field",)),
        ({"target_table": "drop table"}, ("target_table: 'drop table'",)),
        ({"target_dataset": "../x", "pipeline_name": ""}, ("target_dataset", "pipeline_name")),
        ({"configuration": []}, ("configuration",)),
        ({"is_active": 1}, ("is_active",)),
    ],
)
def test_the_shape_is_a_validation_error(client: httpx.Client, makes: Makes, changes: Any, words: Any) -> None:
    body = PIPELINE | {"source_id": makes.source()["source_id"]} | changes
    refused(client.post("/pipelines", json=body), 400, "VALIDATION_ERROR", *words)


def test_an_unknown_source(client: httpx.Client) -> None:
    answer = client.post("/pipelines", json=PIPELINE | {"source_id": "none"})
    refused(answer, 404, "RESOURCE_NOT_FOUND", "Source system with ID 'none' not found")


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"schedule": "61 * * * *"}, ("configuration.schedule: '61 * * * *'",)),
        ({"timezone": "Mars/Olympus"}, ("configuration.timezone",)),
        (
            {"extraction_params": {"file_patern": "x"}},
            ("configuration.extraction_params.file_patern: unknown", "file_pattern, file_format"),
        ),
        ({"extraction_params": {"skip_header_rows": "1"}}, ("configuration.extraction_params.skip_header_rows", "'1'")),
        ({"extraction_params": {"file_pattern": "{{dss}}.csv"}}, ("dss", "data_interval_start")),
        ({"extraction_params": []}, ("configuration.extraction_params",)),
        ({"transformation_params": {"filter": "1; DROP TABLE x"}}, ("configuration.transformation_params.filter",)),
        ({"quality_params": {"checks": [{"check": "not_null"}]}}, ("configuration.quality_params.checks.0", "column")),
        (
            {"quality_params": {"checks": [{"check": "expression", "expression": "(SELECT 1)"}]}},
            ("configuration.quality_params.checks.0.expression",),
        ),
        ({"load_params": {"write_disposition": "MERGE"}}, ("configuration.load_params.merge_key",)),
        ({"load_params": {"max_bad_records": -1}, "schedule": "x"}, ("max_bad_records", "configuration.schedule")),
        ({"retries": 3}, ("configuration.retries: unknown field", "quality_params")),
    ],
)
def test_the_inside_of_a_configuration(client: httpx.Client, makes: Makes, configuration: Any, words: Any) -> None:
    pipeline = makes.pipeline()
    body = PIPELINE | {"source_id": pipeline["source_id"], "pipeline_name": "new", "configuration": configuration}
    refused(client.post("/pipelines", json=body), 400, "INVALID_CONFIGURATION", *words)
    refused(put(client, pipeline, {"configuration": configuration}), 400, "INVALID_CONFIGURATION", *words)
    assert client.get(f"/pipelines/{pipeline['pipeline_id']}").json()["data"] == pipeline


def test_files_need_a_pattern_somewhere(client: httpx.Client, makes: Makes) -> None:
    source = makes.source(connection_details={"bucket_name": "b"})
    body = PIPELINE | {"source_id": source["source_id"], "pipeline_name": "no pattern", "configuration": {}}
    refused(client.post("/pipelines", json=body), 400, "INVALID_CONFIGURATION", "file_pattern", "connection_details")


@pytest.mark.parametrize("params", [None, {}, {"table": "t", "query": "SELECT 1"}])
def test_databases_need_a_table_or_a_query(client: httpx.Client, database: str, params: Any) -> None:
    body = PIPELINE | {"source_id": database, "configuration": {"extraction_params": params}}
    refused(client.post("/pipelines", json=body), 400, "INVALID_CONFIGURATION", "exactly one of table and query")


def test_an_update_merges_deeply_and_keeps_the_dag_id(client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline(target_table="before")
    changes = {"target_table": "after", "configuration": {"schedule": "0 3 * * *", "extraction_params": {"quote": "'"}}}
    answer = put(client, pipeline, changes)
    data = answer.json()["data"]
    assert (data["dag_id"], data["target_table"]) == (pipeline["dag_id"], "after")
    assert data["configuration"] == {
        "schedule": "0 3 * * *",
        "extraction_params": {**PIPELINE["configuration"]["extraction_params"], "quote": "'"},
        "transformation_params": PIPELINE["configuration"]["transformation_params"],
    }
    assert answer.headers["etag"] == 'W/"v2"'
    cleared = put(client, pipeline, {"configuration": {"schedule": None, "transformation_params": None}}).json()["data"]
    assert list(cleared["configuration"]) == ["extraction_params"]
    assert put(client, pipeline, {"configuration": None}).json()["data"]["configuration"] == {}


def test_read_only_fields_may_come_back_unchanged(client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    assert put(client, pipeline, pipeline | {"description": "x"}).status_code == 200
    refused(
        put(client, pipeline, {"dag_id": "mine"}), 400, "VALIDATION_ERROR", "dag_id: is read-only", pipeline["dag_id"]
    )
    refused(put(client, pipeline, {"paused": True}), 400, "VALIDATION_ERROR", "paused: unknown field", "is_active")


def test_the_source_may_change_within_its_type(client: httpx.Client, makes: Makes, database: str) -> None:
    pipeline = makes.pipeline()
    other = makes.source()["source_id"]
    assert put(client, pipeline, {"source_id": other}).json()["data"]["source_id"] == other
    refused(put(client, pipeline, {"source_id": database}), 400, "INVALID_CONFIGURATION", "source_id", "CLOUD_SQL")
    refused(put(client, pipeline, {"source_id": "none"}), 404, "RESOURCE_NOT_FOUND", "Source system")


def test_names_are_unique(client: httpx.Client, makes: Makes) -> None:
    one, other = makes.pipeline(), makes.pipeline()
    for query in ("", "?validate_only=true"):
        path = f"/pipelines/{other['pipeline_id']}{query}"
        answer = client.put(path, json={"pipeline_name": f" {one['pipeline_name']} "})
        refused(answer, 409, "RESOURCE_ALREADY_EXISTS", one["pipeline_name"])
        body = PIPELINE | {"source_id": one["source_id"], "pipeline_name": one["pipeline_name"]}
        refused(client.post(f"/pipelines{query}", json=body), 409, "RESOURCE_ALREADY_EXISTS", "pipeline_name")


def test_validate_only_stores_nothing(client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    before = client.get("/pipelines").json()["pagination"]
    body = PIPELINE | {"source_id": pipeline["source_id"], "pipeline_name": "only checked"}
    answer = client.post("/pipelines?validate_only=true", json=body)
    assert (answer.status_code, list(answer.json()["data"])) == (200, list(pipeline))
    answer = put(client, pipeline, {"description": "checked"}, params={"validate_only": "true"})
    assert answer.json()["data"]["description"] == "checked"
    assert client.get(f"/pipelines/{pipeline['pipeline_id']}").json()["data"] == pipeline
    assert client.get("/pipelines").json()["pagination"] == before


def test_filters(client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline(is_active=False)
    for query in ("is_active=false", "is_active=False", "is_active=0"):
        items = client.get(f"/pipelines?source_id={pipeline['source_id']}&{query}").json()["items"]
        assert [item["pipeline_id"] for item in items] == [pipeline["pipeline_id"]]
    assert client.get(f"/pipelines?source_id={pipeline['source_id']}&is_active=true").json()["items"] == []
    assert client.get("/pipelines?source_id=%00").json()["items"] == []


def test_conditional_requests(client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    path = f"/pipelines/{pipeline['pipeline_id']}"
    assert client.get(path, headers={"If-None-Match": 'W/"v1"'}).status_code == 304
    refused(put(client, pipeline, {"description": "x"}, headers={"If-Match": 'W/"v2"'}), 412, "PRECONDITION_FAILED")
    assert put(client, pipeline, {"description": "x"}, headers={"If-Match": 'W/"v1"'}).status_code == 200
    refused(client.delete(path, headers={"If-Match": 'W/"v1"'}), 412, "PRECONDITION_FAILED")


def test_a_running_pipeline_stays_and_history_outlives_it(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution()
    path = f"/pipelines/{execution['pipeline_id']}"
    refused(client.delete(path), 409, "PIPELINE_ALREADY_RUNNING", execution["execution_id"])
    service.succeed(execution["execution_id"])
    assert client.delete(path).status_code == 200
    refused(client.get(f"{path}/executions"), 404, "RESOURCE_NOT_FOUND", "Pipeline with ID")
    assert client.get(f"/executions/{execution['execution_id']}").json()["data"]["status"] == "SUCCESS"
    refused(client.delete(path), 404, "RESOURCE_NOT_FOUND")
