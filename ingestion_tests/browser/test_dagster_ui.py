"""The Dagster UI through our port, as somebody who opens it in a browser sees it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Page, WebSocket, expect

from ingestion_tests.servers.postgres import PostgresServer
from ingestion_tests.servers.slow_source import execute, slow_pipeline
from ingestion_tests.servers.stack import Stack, wait_final, wait_for

GREEN = "rgb(46, 204, 129)"
STEPS = ("extract_from_gcs", "transform_data", "load_to_bigquery", "validate_data_quality")


@dataclass(frozen=True)
class Loaded:
    """A pipeline that has loaded its table twice."""

    pipeline_id: str
    dag_id: str
    execution_id: str
    log_url: str

    @property
    def run_url(self) -> str:
        return self.log_url.partition("?")[0]


@pytest.fixture(scope="module")
def loaded(stack: Stack) -> Loaded:
    stack.put_rows("browser-bucket", "rows.csv", ("id", "amount"), [(n, n * 1.5) for n in range(1000)])
    source = {"name": "Browser", "source_type": "GCS", "connection_details": {"bucket_name": "browser-bucket"}}
    with stack.client() as client:
        source_id = client.post("/sources", json=source).json()["data"]["source_id"]
        body = {
            "pipeline_name": "Browser",
            "source_id": source_id,
            "target_dataset": "browser",
            "target_table": "seen",
            "configuration": {
                "schedule": "0 2 * * *",
                "extraction_params": {"file_pattern": "rows.csv"},
                "quality_params": {"checks": [{"check": "not_null", "column": "id"}]},
            },
        }
        pipeline = client.post("/pipelines", json=body).json()["data"]
        for _ in range(2):
            execution_id = execute(client, pipeline["pipeline_id"])
            assert wait_final(client, execution_id)["status"] == "SUCCESS"
        tasks = client.get(f"/executions/{execution_id}/tasks").json()["items"]
    return Loaded(pipeline["pipeline_id"], pipeline["dag_id"], execution_id, tasks[0]["log_url"])


def test_the_pipeline_is_a_job_with_its_schedule(page: Page, stack: Stack, loaded: Loaded) -> None:
    page.goto(f"{stack.url}/dagster/jobs")
    page.get_by_text(loaded.dag_id, exact=True).first.click()
    expect(page.get_by_text("At 02:00 AM UTC").first).to_be_visible()
    for step in STEPS:
        expect(page.get_by_text(step, exact=True).first).to_be_visible()


def test_a_run_started_in_the_launchpad_is_an_execution(
    page: Page, stack: Stack, loaded: Loaded, client: httpx.Client
) -> None:
    page.goto(f"{stack.url}/dagster/locations/ingestion@ingestion/jobs/{loaded.dag_id}")
    page.get_by_text("Launchpad", exact=True).click()
    page.get_by_role("button", name="Launch Run").click()
    expect(page.get_by_text("Succeeded (4)")).to_be_visible()
    latest = client.get(f"/pipelines/{loaded.pipeline_id}/executions").json()["items"][0]
    assert latest["execution_id"] != loaded.execution_id
    assert latest["execution_id"] in page.url, "the execution of a run from the UI has the run's id"
    assert (latest["status"], latest["records_processed"]) == ("SUCCESS", 1000)


def test_its_run_has_four_green_steps(page: Page, loaded: Loaded) -> None:
    page.goto(loaded.run_url)
    expect(page.get_by_text("Succeeded (4)")).to_be_visible()
    boxes = page.locator(".chart-element.box")
    expect(boxes).to_have_count(4)
    for number in range(4):
        expect(boxes.nth(number)).to_have_css("background-color", GREEN)


def test_a_log_url_opens_the_step_s_own_log(page: Page, loaded: Loaded) -> None:
    page.goto(loaded.log_url)
    expect(page.get_by_text("rows_extracted=1000").first).to_be_visible()
    expect(page.get_by_text('Started execution of step "load_to_bigquery"')).to_have_count(0)


def test_the_table_is_an_asset_with_plots_and_checks(page: Page, stack: Stack, loaded: Loaded) -> None:
    page.goto(f"{stack.url}/dagster/assets/browser/seen")
    expect(page.get_by_text("1,000").first).to_be_visible()
    page.get_by_text("Plots", exact=True).first.click()
    expect(page.get_by_text("rows_loaded", exact=True).first).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
    page.goto(f"{stack.url}/dagster/assets/browser/seen?view=checks")
    for check in ("not_null_id", "row_count_reconciles"):
        expect(page.get_by_text(check, exact=True).first).to_be_visible()
    expect(page.get_by_text("Passed").first).to_be_visible()


def test_the_source_is_a_resource_that_the_job_uses(page: Page, stack: Stack, loaded: Loaded) -> None:
    page.goto(f"{stack.url}/dagster/locations/ingestion@ingestion/resources/browser")
    expect(page.get_by_text("browser-bucket").first).to_be_visible()
    page.goto(f"{stack.url}/dagster/locations/ingestion@ingestion/resources/browser/uses")
    expect(page.get_by_text(loaded.dag_id).first).to_be_visible()


def test_a_run_is_seen_live_over_the_websocket(
    page: Page, stack: Stack, client: httpx.Client, postgres: PostgresServer
) -> None:
    frames: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(str(frame)))

    page.on("websocket", listen)
    execution_id = execute(client, slow_pipeline(client, postgres, seconds=8))
    wait_for(client, execution_id, "RUNNING")
    task = client.get(f"/executions/{execution_id}/tasks").json()["items"][0]
    page.goto(task["log_url"].partition("?")[0])
    expect(page.get_by_text("Executing (1)")).to_be_visible()
    assert client.get(f"/executions/{execution_id}").json()["data"]["status"] == "RUNNING"
    before = len(frames)
    expect(page.get_by_text("Succeeded (4)")).to_be_visible()
    assert [frame for frame in frames[before:] if "STEP_SUCCESS" in frame or "ExecutionStepSuccessEvent" in frame]
    assert wait_final(client, execution_id)["status"] == "SUCCESS"
