"""Every JSON example of the contract, against the live service, as one story told in order."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ingestion.model.source import SourceStatus
from ingestion.store import Store
from ingestion_tests.servers.postgres import SUPERUSER, PostgresServer
from ingestion_tests.servers.stack import Stack, wait_final
from ingestion_tests.wire.conftest import SALES_ROWS
from ingestion_tests.wire.golden import CONTRACT, Golden


def example(heading: str, kind: str = "response") -> Any:
    return json.loads(json.dumps(CONTRACT[heading][kind]))


def item(heading: str, number: int) -> dict[str, Any]:
    found: dict[str, Any] = example(heading)["items"][number]
    return found


def create_source(admin: httpx.Client, body: dict[str, Any]) -> str:
    answer = admin.post("/sources", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["source_id"])


class Story:
    """Ids that later chapters need."""

    source = customers = pipeline = customers_pipeline = succeeded = ""


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden()


def check(answer: httpx.Response, heading: str, status: int = 200, golden: Golden | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    (golden or Golden()).check(body, example(heading))
    return body


def test_get_supported_source_types(admin: httpx.Client) -> None:
    assert admin.get("/sources/types").json() == example("Get Supported Source Types")


def test_test_source_connection(admin: httpx.Client) -> None:
    answer = admin.post("/sources/test-connection", json=example("Test Source Connection", "request"))
    body, wanted = answer.json(), example("Test Source Connection")
    assert answer.status_code == 200
    assert list(body) == list(wanted)
    measured = body.pop("connection_details")
    assert isinstance(measured["latency_ms"], int)
    assert measured["available_objects"] == wanted["connection_details"]["available_objects"]
    assert measured["total_size_bytes"] == wanted["connection_details"]["total_size_bytes"]
    del wanted["connection_details"]
    Golden().check(body, wanted)


def test_create_data_source(admin: httpx.Client, story: Story) -> None:
    body = check(admin.post("/sources", json=example("Create Data Source", "request")), "Create Data Source", 201)
    story.source = body["data"]["source_id"]


@pytest.mark.parametrize("number", range(3))
def test_create_data_source_with_each_printed_connection(admin: httpx.Client, number: int) -> None:
    details = example("Create Data Source", "connection_details")[number]
    kind = ("GCS", "CLOUD_SQL", "API")[number]
    body = {"name": f"Connection example {number}", "source_type": kind, "connection_details": details}
    answer = admin.post("/sources", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["connection_details"] == details
    assert admin.delete(f"/sources/{answer.json()['data']['source_id']}").status_code == 200


def test_get_all_data_sources(admin: httpx.Client, scene: Stack, story: Story) -> None:
    shown = item("Get All Data Sources", 1)
    story.customers = create_source(
        admin, {key: shown[key] for key in ("name", "source_type", "connection_details", "description", "is_active")}
    )
    with Store.open(f"sqlite:///{scene.home / 'ingestion.sqlite'}") as store:
        for source_id in (story.source, story.customers):
            store.sources.set_status(source_id, SourceStatus.CONNECTED)
    check(admin.get("/sources"), "Get All Data Sources")


def test_get_data_source(admin: httpx.Client, story: Story) -> None:
    check(admin.get(f"/sources/{story.source}"), "Get Data Source")


def test_update_data_source(admin: httpx.Client) -> None:
    body = example("Create Data Source", "request") | {"name": "Sales Data Bucket to update"}
    source_id = create_source(admin, body)
    check(admin.put(f"/sources/{source_id}", json=example("Update Data Source", "request")), "Update Data Source")
    check(admin.delete(f"/sources/{source_id}"), "Delete Data Source")
    assert admin.get(f"/sources/{source_id}").status_code == 404


def test_get_source_schema(admin: httpx.Client, postgres: PostgresServer, sales_database: str) -> None:
    connection = {
        "host": postgres.host,
        "port": postgres.port,
        "database": sales_database,
        "sslmode": "disable",
        "credentials": {"username": SUPERUSER},
    }
    source_id = create_source(
        admin, {"name": "Sales database", "source_type": "CLOUD_SQL", "connection_details": connection}
    )
    check(admin.get(f"/sources/{source_id}/schema/sales_data"), "Get Source Schema")
    assert admin.get(f"/sources/{source_id}").json()["data"]["status"] == "CONNECTED"
    assert admin.delete(f"/sources/{source_id}").status_code == 200


def test_create_pipeline(admin: httpx.Client, story: Story, golden: Golden) -> None:
    body = example("Create Pipeline", "request") | {"source_id": story.source}
    story.pipeline = check(admin.post("/pipelines", json=body), "Create Pipeline", 201, golden)["data"]["pipeline_id"]


def test_get_all_pipelines(admin: httpx.Client, story: Story) -> None:
    shown = item("Get All Pipelines", 1)
    body = {
        key: shown[key]
        for key in ("pipeline_name", "target_dataset", "target_table", "configuration", "description", "is_active")
    }
    answer = admin.post("/pipelines", json=body | {"source_id": story.customers})
    assert answer.status_code == 201, answer.text
    story.customers_pipeline = answer.json()["data"]["pipeline_id"]
    check(admin.get("/pipelines"), "Get All Pipelines")


def test_get_pipeline(admin: httpx.Client, story: Story) -> None:
    check(admin.get(f"/pipelines/{story.pipeline}"), "Get Pipeline")


def test_update_and_delete_pipeline(admin: httpx.Client, story: Story) -> None:
    body = example("Create Pipeline", "request") | {"source_id": story.source, "pipeline_name": "To update"}
    created = admin.post("/pipelines", json=body).json()["data"]
    assert created["dag_id"] == "gcs_to_bq_daily_sales_2", "the dag_id of another pipeline is not taken twice"
    wanted = example("Update Pipeline")
    wanted["data"]["dag_id"] = created["dag_id"]
    answer = admin.put(f"/pipelines/{created['pipeline_id']}", json=example("Update Pipeline", "request"))
    assert answer.status_code == 200, answer.text
    Golden().check(answer.json(), wanted)
    check(admin.delete(f"/pipelines/{created['pipeline_id']}"), "Delete Pipeline")
    assert admin.get(f"/pipelines/{created['pipeline_id']}").status_code == 404


def test_execute_pipeline(admin: httpx.Client, story: Story) -> None:
    answer = admin.post(f"/pipelines/{story.pipeline}/execute", json=example("Execute Pipeline", "request"))
    body = check(answer, "Execute Pipeline", 202)
    story.succeeded = body["data"]["execution_id"]
    assert wait_final(admin, story.succeeded)["status"] == "SUCCESS"


def test_get_pipeline_execution(admin: httpx.Client, story: Story) -> None:
    body = check(admin.get(f"/executions/{story.succeeded}"), "Get Pipeline Execution")
    assert body["data"]["records_processed"] == SALES_ROWS


def test_get_task_executions(admin: httpx.Client, story: Story) -> None:
    body = check(admin.get(f"/executions/{story.succeeded}/tasks"), "Get Task Executions")
    by_id = {task["task_id"]: task for task in body["items"]}
    assert by_id["load_to_bigquery"]["metrics"]["rows_loaded"] == SALES_ROWS
    assert by_id["load_to_bigquery"]["task_params"]["schema_fields"][0]["name"] == "sale_id"


def test_get_pipeline_executions(admin: httpx.Client, scene: Stack, story: Story) -> None:
    """The example's first item succeeded, its second failed for a missing file: ours come in that order too."""
    request = example("Create Pipeline", "request") | {"source_id": story.source, "pipeline_name": "One file a day"}
    request["configuration"]["extraction_params"]["file_pattern"] = "sales_20230614.csv"
    pipeline_id = admin.post("/pipelines", json=request).json()["data"]["pipeline_id"]
    for params in (example("Get Pipeline Executions")["items"][1], example("Get Pipeline Executions")["items"][0]):
        if params["status"] == "SUCCESS":
            source = scene.home / "buckets" / "sales-data-bucket" / "sales_20230615.csv"
            scene.put_object("sales-data-bucket", "sales_20230614.csv", source.read_bytes())
        answer = admin.post(f"/pipelines/{pipeline_id}/execute", json={"execution_params": params["execution_params"]})
        assert wait_final(admin, answer.json()["data"]["execution_id"])["status"] == params["status"]
    wanted = example("Get Pipeline Executions")
    dag_id = admin.get(f"/pipelines/{pipeline_id}").json()["data"]["dag_id"]
    for shown in wanted["items"]:
        shown["dag_run_id"] = shown["dag_run_id"].replace("gcs_to_bq_daily_sales", dag_id)
    answer = admin.get(f"/pipelines/{pipeline_id}/executions")
    assert answer.status_code == 200
    Golden().check(answer.json(), wanted)


def test_cancel_pipeline_execution(admin: httpx.Client, story: Story) -> None:
    execution_id = admin.post(f"/pipelines/{story.pipeline}/execute").json()["data"]["execution_id"]
    check(admin.post(f"/executions/{execution_id}/cancel"), "Cancel Pipeline Execution")
    assert wait_final(admin, execution_id)["error_details"]["error_code"] == "CANCELLED"


def test_retry_pipeline_execution(admin: httpx.Client, story: Story) -> None:
    failed = admin.get(f"/pipelines/{story.pipeline}/executions?status=FAILED").json()["items"][0]["execution_id"]
    answer = admin.post(f"/executions/{failed}/retry", json=example("Retry Pipeline Execution", "request"))
    body = check(answer, "Retry Pipeline Execution", 202)
    assert body["data"]["execution_params"]["retry_of_execution_id"] == failed
    assert wait_final(admin, body["data"]["execution_id"])["status"] == "SUCCESS"


def test_error_response(admin: httpx.Client) -> None:
    answer = admin.get("/sources/550e8400-e29b-41d4-a716-446655440999")
    assert answer.status_code == 404
    assert answer.json() == example("Error Handling")
