"""Every query against a live webserver, in process and over HTTP."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from ingestion.errors import LaunchFailed, ServiceUnavailable
from ingestion.model.execution import ExecutionStatus
from ingestion.model.pipeline import Pipeline
from ingestion.orchestration import tags
from ingestion.orchestration.dagster_api import DagsterApi, RunStatus
from ingestion.orchestration.launch import execution_tags
from ingestion.orchestration.webserver import DagsterMount
from ingestion_tests.orchestration.deployment import (
    Deployment,
    a_pipeline,
    a_source,
    accept,
    ended,
    eventually,
    now_,
)


@pytest.fixture(scope="module")
def webserver(mount: DagsterMount) -> Iterator[str]:
    """The web app on a port; the address of its start page."""
    listener = socket.create_server(("127.0.0.1", 0))
    app: Any = mount.app
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/dagster"
    server.should_exit = True
    thread.join()
    listener.close()


class EachTime:
    """A client that is made anew for each event loop, as HTTP connections belong to one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            api = DagsterApi.over_http(self._url)
            try:
                return await getattr(api, name)(*arguments, **named)
            finally:
                await api.close()

        return call


@pytest.fixture(params=["in process", "http"])
def api(request: pytest.FixtureRequest, dagster: DagsterApi) -> Any:
    if request.param == "in process":
        return dagster
    return EachTime(request.getfixturevalue("webserver"))


def test_launch_runs_tags_and_terminate(deployment: Deployment, api: DagsterApi, quick: Pipeline) -> None:
    execution = accept(deployment.store, quick)

    run_id = now_(api.launch(quick.dag_id, {"batch_size": 5, "end_date": None}, execution_tags(execution)))

    view = ended(api, run_id)
    assert (view.status, view.job_name, view.parent_run_id) == (RunStatus.SUCCESS, quick.dag_id, None)
    assert view.tags[tags.PIPELINE_ID] == quick.pipeline_id
    assert view.tags[tags.MAX_RETRIES] == "0"
    assert view.started_at is not None
    assert view.ended_at is not None
    assert all(step.started_at and step.ended_at for step in view.steps)
    assert [run.run_id for run in now_(api.runs_tagged(execution.execution_id))] == [run_id]
    assert deployment.store.executions.get(execution.execution_id).status is ExecutionStatus.SUCCESS
    assert deployment.store.executions.by_run(run_id) is not None
    assert now_(api.terminate(run_id)) is False


def test_what_does_not_exist(api: DagsterApi) -> None:
    unknown = str(uuid.uuid4())

    assert now_(api.runs([])) == {}
    assert now_(api.runs([unknown])) == {}
    assert now_(api.runs_tagged(unknown)) == []
    assert now_(api.terminate(unknown)) is False
    with pytest.raises(LaunchFailed, match="no_such_job"):
        now_(api.launch("no_such_job", {}, {}))


def test_bad_configuration_is_refused(api: DagsterApi, quick: Pipeline) -> None:
    with pytest.raises(LaunchFailed, match="batch_size"):
        now_(api.launch(quick.dag_id, {"batch_size": "many"}, {}))


def test_the_location_is_healthy_and_reloads(api: DagsterApi) -> None:
    now_(api.reload())

    assert now_(api.location_error()) is None


def test_a_new_pipeline_can_be_launched_at_once(deployment: Deployment, api: DagsterApi) -> None:
    source = a_source(f"New {uuid.uuid4()}")
    deployment.store.sources.add(source)
    table = f"new_{uuid.uuid4().hex[:8]}"
    new = a_pipeline(source, table, {"extraction_params": {"file_pattern": "rows.csv"}}, target_dataset="fresh")
    pipeline = deployment.store.pipelines.add(new)

    run_id = now_(api.launch(pipeline.dag_id, {}, {}, None))

    assert ended(api, run_id).status is RunStatus.SUCCESS, deployment.logs()


def test_a_copy_of_a_run_is_a_new_execution(deployment: Deployment, dagster: DagsterApi, quick: Pipeline) -> None:
    first = accept(deployment.store, quick)
    first_run = now_(dagster.launch(quick.dag_id, {}, execution_tags(first)))
    ended(dagster, first_run)

    # As Dagster's UI re-executes: the tags come along.
    second_run = now_(dagster.launch(quick.dag_id, {}, execution_tags(first), first_run))

    view = ended(dagster, second_run)
    assert (view.status, view.parent_run_id) == (RunStatus.SUCCESS, first_run), deployment.logs()
    again = deployment.store.executions.get(second_run)
    assert (again.status, again.retry_of_execution_id) == (ExecutionStatus.SUCCESS, first.execution_id)


def test_a_run_behind_another_execution_is_refused(
    deployment: Deployment, dagster: DagsterApi, endless: Pipeline
) -> None:
    holder = accept(deployment.store, endless)

    run_id = now_(dagster.launch(endless.dag_id, {}, {}))

    assert ended(dagster, run_id).status is RunStatus.FAILURE
    refused = deployment.store.executions.get(run_id)
    assert refused.error_details is not None
    assert refused.error_details.error_code == "PIPELINE_ALREADY_RUNNING"
    assert holder.execution_id in refused.error_details.error_message
    assert deployment.store.executions.get(holder.execution_id).status is ExecutionStatus.PENDING
    deployment.store.executions.cancel(holder.execution_id)


def test_the_run_of_a_cancelled_execution_does_nothing(
    deployment: Deployment, dagster: DagsterApi, quick: Pipeline
) -> None:
    execution = accept(deployment.store, quick)
    deployment.store.executions.cancel(execution.execution_id)

    run_id = now_(dagster.launch(quick.dag_id, {}, execution_tags(execution)))

    assert ended(dagster, run_id).status is RunStatus.FAILURE
    assert deployment.store.executions.by_run(run_id) is None


def test_assets_checks_and_resources_are_shown(
    deployment: Deployment, dagster: DagsterApi, mount: DagsterMount, quick: Pipeline
) -> None:
    ended(dagster, now_(dagster.launch(quick.dag_id, {}, {})))

    shown = eventually(lambda: now_(_asset(mount)))

    assert shown["dependencyKeys"] == [{"path": ["sources", "quick_source"]}]
    assert shown["jobNames"] == [], "the web app shows a job with assets without its ops and its Launchpad"
    entries = {entry["label"]: entry for entry in shown["assetMaterializations"][0]["metadataEntries"]}
    assert entries["rows_loaded"]["intValue"] == 3
    assert entries["total_time_seconds"]["floatValue"] > 0
    assert [column["name"] for column in entries["dagster/column_schema"]["schema"]["columns"]] == ["id", "label"]
    checks = {check["name"]: check["executionForLatestMaterialization"] for check in shown["checks"]["checks"]}
    assert set(checks) == {"not_null_id", "row_count_reconciles"}
    assert {check["status"] for check in checks.values()} == {"SUCCEEDED"}


async def _asset(mount: DagsterMount) -> Any:
    query = """query Asset($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
      dependencyKeys { path } jobNames
      assetMaterializations(limit: 1) { metadataEntries { label
        ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue }
        ... on TableSchemaMetadataEntry { schema { columns { name } } } } }
      checks: assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
    } } }"""
    transport = httpx.ASGITransport(app=mount.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://dagster") as client:
        variables = {"key": {"path": ["shop", "quick"]}}
        answer = await client.post("/dagster/graphql", json={"query": query, "variables": variables})
    return answer.json()["data"]["assetNodeOrError"]


def test_no_answer_is_service_unavailable() -> None:
    async def ask() -> None:
        api = DagsterApi.over_http("http://127.0.0.1:9/dagster")
        try:
            await api.runs(["x"])
        finally:
            await api.close()

    with pytest.raises(ServiceUnavailable, match="Dagster does not answer"):
        now_(ask())
