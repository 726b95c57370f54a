"""Executions: accepted once, launched with their tags, shown as they are."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ingestion.errors import LaunchFailed, ServiceUnavailable
from ingestion.orchestration.dagster_api import RunStatus
from ingestion_tests.api.conftest import Makes, refused
from ingestion_tests.api.live import Live, live

PARAMS = {
    "batch_size": 1000,
    "include_deleted": False,
    "start_date": "2023-06-01",
    "end_date": "2023-06-15",
    "mine": [1],
}


def execute(client: httpx.Client, pipeline: dict[str, Any], **body: Any) -> httpx.Response:
    return client.post(f"/pipelines/{pipeline['pipeline_id']}/execute", json=body)


def shown(client: httpx.Client, execution_id: str) -> dict[str, Any]:
    data: dict[str, Any] = client.get(f"/executions/{execution_id}").json()["data"]
    return data


def test_an_execution_is_accepted_and_launched(service: Live, client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    headers = {"X-Request-ID": "my-request.7"}
    answer = client.post(
        f"/pipelines/{pipeline['pipeline_id']}/execute", json={"execution_params": PARAMS}, headers=headers
    )
    data = answer.json()["data"]
    assert list(data) == ["execution_id", "pipeline_id", "status", "start_time", "dag_run_id", "execution_params"]
    assert (data["status"], data["execution_params"]) == ("PENDING", PARAMS)
    launch = service.dagster.launches[service.dagster.run_of(data["execution_id"])]
    assert (launch.dag_id, launch.params, launch.parent_run_id) == (pipeline["dag_id"], PARAMS, None)
    assert launch.tags == {
        "ingestion/execution_id": data["execution_id"],
        "ingestion/pipeline_id": pipeline["pipeline_id"],
        "ingestion/revision": "1",
        "ingestion/request_id": "my-request.7",
    }
    stored = service.stored(data["execution_id"])
    assert stored.dagster_run_id == service.dagster.run_of(data["execution_id"])
    assert stored.created_by == "admin@example.com"


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_nothing_is_needed_and_what_was_not_sent_is_not_shown(
    client: httpx.Client, makes: Makes, content: bytes
) -> None:
    pipeline = makes.pipeline()
    answer = client.post(f"/pipelines/{pipeline['pipeline_id']}/execute", content=content)
    assert answer.status_code == 202
    assert list(answer.json()["data"]) == ["execution_id", "pipeline_id", "status", "start_time", "dag_run_id"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"async": True}, ("async: unknown field", "async_execution")),
        ({"async_execution": "yes", "force_execution": 1}, ("async_execution", "force_execution")),
        ({"execution_params": []}, ("execution_params",)),
        ({"execution_params": {"batch_size": 0}}, ("execution_params.batch_size",)),
        ({"execution_params": {"batch_size": "5"}}, ("execution_params.batch_size", "'5'")),
        ({"execution_params": {"include_deleted": "no"}}, ("execution_params.include_deleted",)),
        ({"execution_params": {"start_date": 5}}, ("execution_params.start_date",)),
        ({"execution_params": {"start_date": "2024-02-02", "end_date": "2024-02-01"}}, ("lies before start_date",)),
        (
            {"execution_params": {"retry_of_execution_id": "x"}},
            ("execution_params.retry_of_execution_id: is reserved",),
        ),
    ],
)
def test_wrong_parameters(service: Live, client: httpx.Client, makes: Makes, body: Any, words: Any) -> None:
    pipeline = makes.pipeline()
    refused(execute(client, pipeline, **body), 400, "VALIDATION_ERROR", *words)
    assert client.get(f"/pipelines/{pipeline['pipeline_id']}/executions").json()["items"] == []


def test_of_many_at_once_one_is_accepted(service: Live, makes: Makes) -> None:
    pipeline = makes.pipeline()
    gate = threading.Barrier(20)

    def ask(_: int) -> int:
        with service.client() as client:
            gate.wait()
            return execute(client, pipeline).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(ask, range(20))) == [202] + [409] * 19


def test_inactive_pipelines_and_sources_need_force(client: httpx.Client, makes: Makes) -> None:
    source = makes.source(is_active=False)
    pipeline = makes.pipeline(source_id=source["source_id"], is_active=False)
    refused(execute(client, pipeline), 400, "INVALID_CONFIGURATION", pipeline["pipeline_id"], source["source_id"])
    assert execute(client, pipeline, force_execution=True).status_code == 202


def test_a_forced_execution_queues_behind_the_running_one(service: Live, client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    execute(client, pipeline)
    answer = execute(client, pipeline, force_execution=True)
    data = answer.json()["data"]
    assert (answer.status_code, data["status"]) == (202, "PENDING")
    assert service.stored(data["execution_id"]).is_queued
    assert not [launch for launch in service.dagster.launches.values() if data["execution_id"] in launch.tags.values()]
    assert client.post(f"/executions/{data['execution_id']}/cancel").status_code == 200


def test_validate_only_accepts_nothing(service: Live, client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    path = f"/pipelines/{pipeline['pipeline_id']}/execute?validate_only=true"
    answer = client.post(path, json={"execution_params": PARAMS})
    assert answer.status_code == 200
    assert list(answer.json()["data"])[-2:] == ["dag_run_id", "execution_params"]
    assert client.get(f"/pipelines/{pipeline['pipeline_id']}/executions").json()["items"] == []
    execute(client, pipeline)
    refused(client.post(path), 409, "PIPELINE_ALREADY_RUNNING")


def test_a_launch_that_fails_ends_the_execution(service: Live, client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()
    service.dagster.launch_errors = [LaunchFailed("the job has no such config")]
    refused(execute(client, pipeline), 500, "EXECUTION_ERROR", "the job has no such config")
    (item,) = client.get(f"/pipelines/{pipeline['pipeline_id']}/executions").json()["items"]
    assert (item["status"], item["records_processed"]) == ("FAILED", 0)
    assert item["error_details"]["error_code"] == "LAUNCH_FAILED"
    assert execute(client, pipeline).status_code == 202, "the claim is free"


def test_a_dagster_that_is_away_for_a_moment_is_waited_for(service: Live, client: httpx.Client, makes: Makes) -> None:
    service.dagster.launch_errors = [ServiceUnavailable("starting"), ServiceUnavailable("starting")]
    answer = execute(client, makes.pipeline())
    assert answer.status_code == 202
    assert service.stored(answer.json()["data"]["execution_id"]).dagster_run_id is not None


def test_a_synchronous_execution_answers_with_its_end(service: Live, client: httpx.Client, makes: Makes) -> None:
    for ending, status in ((service.succeed, "SUCCESS"), (service.fail, "FAILED")):
        pipeline = makes.pipeline()

        def end_it(pipeline: dict[str, Any] = pipeline, ending: Any = ending) -> None:
            service.wait_until(lambda: _run_of(service, pipeline) is not None)
            ending(str(_run_of(service, pipeline)))

        worker = threading.Thread(target=end_it)
        worker.start()
        answer = execute(client, pipeline, async_execution=False)
        worker.join()
        assert (answer.status_code, answer.json()["data"]["status"]) == (200, status)
        assert "end_time" in answer.json()["data"]


def _run_of(service: Live, pipeline: dict[str, Any]) -> str | None:
    for execution in service.store.executions.unfinished():
        if execution.pipeline_id == pipeline["pipeline_id"] and execution.dagster_run_id is not None:
            return execution.execution_id
    return None


def test_a_synchronous_execution_has_a_limit(tmp_path: Any) -> None:
    with live(tmp_path / "home", sync_limit_seconds=0.3) as service, service.client() as client:
        answer = execute(client, Makes(client).pipeline(), async_execution=False)
        assert (answer.status_code, answer.json()["data"]["status"]) == (202, "PENDING")


def test_how_states_are_shown(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution_id = makes.execution(execution_params={"x": 1})["execution_id"]
    service.succeed(execution_id, rows=5280)
    done = shown(client, execution_id)
    assert list(done) == [
        "execution_id",
        "pipeline_id",
        "status",
        "start_time",
        "end_time",
        "dag_run_id",
        "records_processed",
        "execution_params",
        "metrics",
        "task_ids",
    ]
    assert (done["records_processed"], done["task_ids"][0]) == (5280, "extract_from_gcs")
    (item,) = client.get(f"/pipelines/{done['pipeline_id']}/executions").json()["items"]
    assert item == {name: value for name, value in done.items() if name != "task_ids"}
    failed = makes.execution()["execution_id"]
    service.fail(failed)
    assert shown(client, failed)["error_details"] == {
        "error_code": "FILE_NOT_FOUND",
        "error_message": "no file",
        "task_id": "extract_from_gcs",
    }
    assert "metrics" not in shown(client, failed)


def test_tasks_follow_the_graph(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution_id = makes.execution()["execution_id"]
    path = f"/executions/{execution_id}/tasks"
    items = client.get(path).json()["items"]
    assert [item["status"] for item in items] == ["PENDING"] * 4
    assert "start_time" not in items[0]
    service.succeed(execution_id)
    items = client.get(path).json()["items"]
    assert [item["task_id"] for item in items] == [
        "extract_from_gcs",
        "transform_data",
        "load_to_bigquery",
        "validate_data_quality",
    ]
    assert (items[0]["task_name"], items[0]["task_type"]) == ("Extract from GCS", "GCSToLocalOperator")
    page = client.get(f"{path}?page=2&page_size=3&status=SUCCESS").json()
    assert [item["task_id"] for item in page["items"]] == ["validate_data_quality"]
    assert client.get(f"{path}?status=FAILED").json()["items"] == []
    refused(client.get(f"{path}?status=HEALING"), 400, "VALIDATION_ERROR", "UPSTREAM_FAILED")


def test_filters_by_status_and_time(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution()
    path, start = f"/pipelines/{execution['pipeline_id']}/executions", execution["start_time"]
    for query, found in (
        ({"status": "PENDING"}, 1),
        ({"status": "SUCCESS"}, 0),
        ({"start_date": start, "end_date": start}, 1),
        ({"start_date": start[:10], "end_date": start[:10]}, 1),
        ({"end_date": "2001-01-01"}, 0),
        ({"start_date": "2999-01-01T00:00:00+02:00"}, 0),
    ):
        assert len(client.get(path, params=query).json()["items"]) == found, query
    refused(client.get("/pipelines/none/executions"), 404, "RESOURCE_NOT_FOUND", "Pipeline with ID 'none'")


def test_unfinished_rows_are_reconciled_with_one_question(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution()
    run_id = service.dagster.run_of(execution["execution_id"])
    before = service.dagster.questions
    path = f"/pipelines/{execution['pipeline_id']}/executions"
    assert client.get(path).json()["items"][0]["status"] == "PENDING"
    service.dagster.views[run_id] = replace(service.dagster.views[run_id], status=RunStatus.FAILURE)
    (item,) = client.get(path).json()["items"]
    assert (item["status"], item["error_details"]["error_code"]) == ("FAILED", "WORKER_LOST")
    assert service.dagster.questions == before + 2
    client.get(path)
    assert service.dagster.questions == before + 2, "a final state needs no question"


def test_without_dagster_what_is_stored_is_shown(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution()
    service.dagster.answer_error = ServiceUnavailable("away")
    try:
        assert shown(client, execution["execution_id"])["status"] == "PENDING"
    finally:
        service.dagster.answer_error = None


def test_a_cancel_ends_execution_and_run(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution(execution_params={"x": 1})
    path = f"/executions/{execution['execution_id']}/cancel"
    answer = client.post(path)
    data = answer.json()["data"]
    assert list(data) == [
        "execution_id",
        "pipeline_id",
        "status",
        "start_time",
        "end_time",
        "dag_run_id",
        "error_details",
    ]
    assert data["status"] == "FAILED"
    assert data["error_details"] == {"error_code": "CANCELLED", "error_message": "Execution cancelled by user"}
    run_id = service.dagster.run_of(execution["execution_id"])
    assert service.dagster.terminated.count(run_id) == 1
    assert client.post(path).json() == answer.json(), "a repeat answers the same"
    assert service.dagster.terminated.count(run_id) == 1
    tasks = client.get(f"/executions/{execution['execution_id']}/tasks").json()["items"]
    assert [task["status"] for task in tasks] == ["SKIPPED"] * 4


def test_a_cancel_during_the_launch_reaches_the_run(service: Live, client: httpx.Client, makes: Makes) -> None:
    pipeline = makes.pipeline()

    async def cancel_meanwhile() -> None:
        (accepted,) = [e for e in service.store.executions.unfinished() if e.pipeline_id == pipeline["pipeline_id"]]
        service.store.executions.cancel(accepted.execution_id)

    service.dagster.while_launching = cancel_meanwhile
    try:
        execution_id = execute(client, pipeline).json()["data"]["execution_id"]
    finally:
        service.dagster.while_launching = None
    assert shown(client, execution_id)["error_details"]["error_code"] == "CANCELLED"
    assert service.dagster.run_of(execution_id) in service.dagster.terminated


def test_a_cancel_can_come_too_late(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution_id = makes.execution()["execution_id"]
    run_id = service.dagster.run_of(execution_id)
    assert service.store.executions.start(execution_id, run_id)
    assert service.store.executions.claim_publish(execution_id)
    refused(client.post(f"/executions/{execution_id}/cancel"), 409, "INVALID_STATE", "is publishing")
    assert service.store.executions.succeed(execution_id, 1, {})
    refused(client.post(f"/executions/{execution_id}/cancel"), 409, "INVALID_STATE", "is SUCCESS")


def test_a_retry_overlays_the_parameters(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution(execution_params={"batch_size": 1000, "mine": 1})
    path = f"/executions/{execution['execution_id']}/retry"
    refused(client.post(path), 409, "PIPELINE_ALREADY_RUNNING", execution["execution_id"])
    service.fail(execution["execution_id"])
    refused(client.post(path, json={"async_execution": True}), 400, "VALIDATION_ERROR", "async_execution")
    bad = {"execution_params": {"retry_of_execution_id": "x", "batch_size": 0}}
    refused(client.post(path, json=bad), 400, "VALIDATION_ERROR", "reserved", "batch_size")
    answer = client.post(path, json={"execution_params": {"batch_size": 500, "include_deleted": True}})
    data = answer.json()["data"]
    assert data["execution_id"] != execution["execution_id"]
    expected = {"batch_size": 500, "mine": 1, "include_deleted": True}
    assert data["execution_params"] == expected | {"retry_of_execution_id": execution["execution_id"]}
    launch = service.dagster.launches[service.dagster.run_of(data["execution_id"])]
    assert launch.params == expected
    assert launch.parent_run_id == service.dagster.run_of(execution["execution_id"])
    refused(client.post(path), 409, "PIPELINE_ALREADY_RUNNING", data["execution_id"])
    service.fail(data["execution_id"])
    again = client.post(f"/executions/{data['execution_id']}/retry").json()["data"]
    assert again["execution_params"] == expected | {"retry_of_execution_id": data["execution_id"]}


def test_a_retry_of_a_deleted_pipeline(service: Live, client: httpx.Client, makes: Makes) -> None:
    execution = makes.execution()
    service.fail(execution["execution_id"])
    assert client.delete(f"/pipelines/{execution['pipeline_id']}").status_code == 200
    answer = client.post(f"/executions/{execution['execution_id']}/retry")
    refused(answer, 404, "RESOURCE_NOT_FOUND", f"Pipeline with ID '{execution['pipeline_id']}' not found")


def test_log_urls_by_template(tmp_path: Any) -> None:
    template = "https://logs.example.com/{dag_id}/{dagster_run_id}/{task_id}?e={execution_id}"
    with live(tmp_path / "home", log_url_template=template) as service, service.client() as client:
        execution = Makes(client).execution()
        (task, *_) = client.get(f"/executions/{execution['execution_id']}/tasks").json()["items"]
        run_id = service.dagster.run_of(execution["execution_id"])
        dag_id = service.dagster.launches[run_id].dag_id
        expected = f"https://logs.example.com/{dag_id}/{run_id}/extract_from_gcs?e={execution['execution_id']}"
        assert task["log_url"] == expected
