"""What Dagster's event log is told of an execution."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ingestion.errors import FileMissing, QualityFailed
from ingestion.model.execution import Execution
from ingestion.model.quality import CheckResult, Severity
from ingestion.model.source import Source
from ingestion.orchestration.events import asset_key, check_evaluations, check_name, failure, materialization
from ingestion.orchestration.services import Services
from ingestion.warehouses.base import PublishResult
from ingestion_tests.orchestration.deployment import a_pipeline, a_source, accept

RESULT = PublishResult(loaded=5, quarantined=1, deduplicated=2, filtered=3, extracted=11, target_rows=50)
PIPELINE = a_pipeline(a_source(), "sales")


@pytest.fixture
def execution(here: Services, source: Source) -> Execution:
    execution = accept(here.store, here.store.pipelines.add(a_pipeline(source, "sales")))
    assert here.store.executions.start(execution.execution_id, "run-1")
    return here.store.executions.get(execution.execution_id)


def value(event: dg.AssetMaterialization, name: str) -> Any:
    return event.metadata[name].value


def test_a_load_is_told_with_numbers_to_plot(here: Services, execution: Execution) -> None:
    metrics = {"bytes_processed": 120, "files": 1}
    fields = [
        {"name": "id", "type": "INT64", "mode": "REQUIRED", "description": ""},
        {"name": "label", "type": "STRING", "mode": "NULLABLE", "description": "A label"},
    ]
    executions = here.store.executions
    executions.start_task(execution.execution_id, "extract_from_gcs", {})
    executions.finish_task(execution.execution_id, "extract_from_gcs", metrics, {"schema_fields": fields})
    tasks = executions.all_tasks(execution.execution_id)

    event = materialization(PIPELINE, execution, RESULT, {"total_time_seconds": 6, "rows_loaded": 5}, tasks)

    assert event.asset_key == dg.AssetKey(["shop", "sales"])
    assert event.description == "5 rows loaded, 50 in the table"
    assert (value(event, "dagster/row_count"), value(event, "rows_loaded"), value(event, "bytes_extracted")) == (
        50,
        5,
        120,
    )
    assert value(event, "total_time_seconds") == 6.0
    columns = event.metadata["dagster/column_schema"].value.columns  # type: ignore[union-attr]
    assert [(column.name, column.type, column.constraints.nullable) for column in columns] == [
        ("id", "INT64", False),
        ("label", "STRING", True),
    ]


def test_what_is_not_known_is_left_out(here: Services, execution: Execution) -> None:
    tasks = here.store.executions.all_tasks(execution.execution_id)

    event = materialization(PIPELINE, execution, RESULT, {}, tasks)

    assert not {"bytes_extracted", "dagster/column_schema"} & set(event.metadata)


@pytest.mark.parametrize(
    ("title", "name"), [("not_null_id", "not_null_id"), ("Is it > 0?", "Is_it___0_"), ("größe", "gr__e"), ("", "check")]
)
def test_titles_are_names_that_dagster_allows(title: str, name: str) -> None:
    assert check_name(title) == name
    assert dg.AssetCheckSpec(name=check_name(title), asset=asset_key(PIPELINE)).name == name


def test_checks_are_told_with_their_severity_and_counts() -> None:
    results = [
        CheckResult(name="a b", check="range", severity=severity, passed=False, checked_rows=9, failed_rows=2)
        for severity in Severity
    ]

    error, warning = check_evaluations(PIPELINE, results)

    assert (error.check_name, error.passed, error.description) == ("a_b", False, None)
    assert (error.severity, warning.severity) == (dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN)
    assert error.metadata["failed_rows"].value == 2


def test_a_failure_is_told_once_and_not_retried() -> None:
    told = failure(FileMissing("no file", file_pattern="*.csv", error_code="X"))

    assert told.description == "FILE_NOT_FOUND: no file"
    assert {name: entry.value for name, entry in told.metadata.items()} == {
        "error_code": "FILE_NOT_FOUND",
        "file_pattern": "*.csv",
    }
    assert told.allow_retries is False
    assert set(failure(QualityFailed("bad", checks=[object()])).metadata) == {"error_code"}
