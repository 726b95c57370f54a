from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from api.log_url import log_url
from ingestion.model.execution import Execution, Task, TaskStatus
from ingestion.settings import Settings
from ingestion.store import Store
from ingestion_tests.store.samples import a_new_execution, with_pipeline

TASK = Task(
    execution_id="e1",
    task_id="extract_from_gcs",
    position=0,
    status=TaskStatus.PENDING,
    start_time=None,
    end_time=None,
    task_params={},
    metrics={},
)
UI = "http://127.0.0.1:8000/dagster"


@pytest.fixture
def execution(tmp_path: Path) -> Execution:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        store.migrate()
        accepted = store.executions.accept(a_new_execution(with_pipeline(store), "e1"))
    return accepted.model_copy(update={"dagster_run_id": "run-1"})


def test_it_is_the_step_in_the_ui(execution: Execution) -> None:
    url = log_url(Settings(), execution, TASK, UI)
    assert url is not None
    assert url.startswith(f"{UI}/runs/run-1?")
    asked = parse_qs(urlsplit(url).query)
    assert asked == {"selection": ['name:"extract_from_gcs"'], "logs": ["step:extract_from_gcs"]}


def test_a_webserver_elsewhere_comes_before_the_ui_here(execution: Execution) -> None:
    url = log_url(Settings(dagster_url="https://dagster.example.com/"), execution, TASK, UI)
    assert url is not None
    assert url.startswith("https://dagster.example.com/runs/run-1?")


def test_a_template_comes_before_all(execution: Execution) -> None:
    template = "https://logs.example.com/{dag_id}/{dagster_run_id}/{task_id}?e={execution_id}"
    url = log_url(Settings(log_url_template=template), execution, TASK, UI)
    assert url == f"https://logs.example.com/{execution.dag_id}/run-1/extract_from_gcs?e=e1"


def test_there_is_none_without_a_run_or_a_ui(execution: Execution) -> None:
    assert log_url(Settings(), execution, TASK, None) is None
    without_run = execution.model_copy(update={"dagster_run_id": None})
    assert log_url(Settings(), without_run, TASK, UI) is None
    assert log_url(Settings(log_url_template="https://logs.example.com"), without_run, TASK, UI) is None
