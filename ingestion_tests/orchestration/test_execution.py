"""Runs of a job in this process: how each kind of end is recorded."""

from __future__ import annotations

from typing import Any

import dagster as dg
import duckdb
import pytest

from ingestion.model.execution import Execution, ExecutionStatus, TaskStatus
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source, SourceStatus
from ingestion.orchestration import tags
from ingestion.orchestration.repository import StoreRepository
from ingestion.orchestration.services import Services
from ingestion.settings import Settings
from ingestion_tests.orchestration.deployment import a_pipeline, accept, put_rows


class Runs:
    """Runs jobs with an instance that remembers them."""

    def __init__(self, here: Services, instance: dg.DagsterInstance) -> None:
        self._repository = StoreRepository(lambda: here)
        self._store = here.store
        self._instance = instance

    def run(self, pipeline: Pipeline, execution: Execution | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        run_tags = {tags.EXECUTION_ID: execution.execution_id} if execution else {}
        job = self._repository.get_job(pipeline.dag_id)
        return job.execute_in_process(run_config=config, instance=self._instance, tags=run_tags, raise_on_error=False)

    def execution(self, result: dg.ExecuteInProcessResult) -> Execution:
        found = self._store.executions.by_run(result.run_id)
        assert found is not None
        return found

    def statuses(self, result: dg.ExecuteInProcessResult) -> list[TaskStatus]:
        return [task.status for task in self._store.executions.all_tasks(self.execution(result).execution_id)]


@pytest.fixture
def runs(here: Services) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(here, instance)


def stored(here: Services, source: Source, table: str, **configuration: Any) -> Pipeline:
    configuration.setdefault("extraction_params", {"file_pattern": "*.csv"})
    return here.store.pipelines.add(a_pipeline(source, table, configuration))


def code_of(execution: Execution) -> str:
    assert execution.error_details is not None
    return execution.error_details.error_code


def loaded(settings: Settings, table: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.warehouse_dir / "shop.duckdb"), read_only=True) as connection:
        return connection.execute(f"SELECT * FROM main.{table} ORDER BY 1").fetchall()


def test_an_accepted_execution_is_done(here: Services, runs: Runs, source: Source) -> None:
    pipeline = stored(here, source, "sales")
    execution = accept(here.store, pipeline)

    result = runs.run(pipeline, execution)

    assert result.success
    ended = here.store.executions.get(execution.execution_id)
    assert (ended.status, ended.dagster_run_id, ended.records_processed) == (ExecutionStatus.SUCCESS, result.run_id, 3)
    assert ended.metrics is not None
    assert {
        "extraction_time_seconds",
        "transformation_time_seconds",
        "loading_time_seconds",
        "total_time_seconds",
        "rows_extracted",
        "rows_loaded",
        "rows_quarantined",
        "rows_deduplicated",
        "rows_filtered",
    } == set(ended.metrics)
    assert ended.metrics["rows_extracted"] == ended.metrics["rows_loaded"] == 3
    assert loaded(here.settings, "sales") == [(1, "one"), (2, "two"), (3, "three")]
    assert here.store.sources.get(source.source_id).status is SourceStatus.CONNECTED


def test_the_accepted_revision_is_executed(here: Services, runs: Runs, source: Source) -> None:
    put_rows(here.settings, "other.csv", "id\n9\n")
    pipeline = stored(here, source, "sales", extraction_params={"file_pattern": "rows.csv"})
    execution = accept(here.store, pipeline)
    changed = pipeline.model_copy(update={"configuration": {"extraction_params": {"file_pattern": "other.csv"}}})
    here.store.pipelines.update(changed, pipeline.revision)

    assert runs.run(pipeline, execution).success

    assert len(loaded(here.settings, "sales")) == 3


def test_a_failure_names_its_cause_and_task(here: Services, runs: Runs, source: Source) -> None:
    pipeline = stored(here, source, "sales", extraction_params={"file_pattern": "nothing_*.csv"})

    result = runs.run(pipeline)

    ended = runs.execution(result)
    assert not result.success
    assert ended.error_details is not None
    assert (code_of(ended), ended.error_details.task_id) == ("FILE_NOT_FOUND", "extract_from_gcs")
    assert runs.statuses(result) == [TaskStatus.FAILED] + [TaskStatus.UPSTREAM_FAILED] * 3
    [failure] = result.get_step_failure_events()
    assert "FILE_NOT_FOUND" in str(failure.step_failure_data.user_failure_data)


def test_a_failed_check_is_an_asset_check_and_publishes_nothing(here: Services, runs: Runs, source: Source) -> None:
    checks = {"checks": [{"check": "range", "column": "id", "max": 2}]}
    pipeline = stored(here, source, "sales", quality_params=checks)

    result = runs.run(pipeline)

    assert code_of(runs.execution(result)) == "QUALITY_FAILED"
    evaluated = {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}
    assert evaluated == {"row_count_reconciles": True, "range_id": False}
    task = here.store.executions.all_tasks(result.run_id)[3]
    assert (task.status, task.metrics["quality_checks_failed"]) == (TaskStatus.FAILED, 1)
    assert result.asset_materializations_for_node("validate_data_quality") == []


def test_an_unexpected_error_is_recorded_without_its_traceback(
    here: Services, runs: Runs, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = stored(here, source, "sales")

    def break_down(*_: object) -> None:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr("ingestion.orchestration.execution.load", break_down)
    result = runs.run(pipeline)

    ended = runs.execution(result)
    assert ended.error_details is not None
    assert ended.error_details.model_dump() == {
        "error_code": "INTERNAL_ERROR",
        "error_message": "ZeroDivisionError: one",
        "task_id": "load_to_bigquery",
    }


def test_a_cancelled_execution_stops_at_its_next_write(
    here: Services, runs: Runs, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingestion.steps import transform

    pipeline = stored(here, source, "sales")
    execution = accept(here.store, pipeline)

    def cancel_meanwhile(ctx: Any) -> Any:
        here.store.executions.cancel(ctx.execution.execution_id)
        return transform(ctx)

    monkeypatch.setattr("ingestion.orchestration.execution.transform", cancel_meanwhile)
    result = runs.run(pipeline, execution)

    ended = here.store.executions.get(execution.execution_id)
    assert code_of(ended) == "CANCELLED"
    assert result.dagster_run.status is not dg.DagsterRunStatus.SUCCESS
    assert not (here.settings.warehouse_dir / "shop.duckdb").exists() or "sales" not in _tables(here.settings)
    assert not (here.settings.staging_dir / execution.execution_id).exists()


def _tables(settings: Settings) -> list[str]:
    with duckdb.connect(str(settings.warehouse_dir / "shop.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'").fetchall()
    return [name for (name,) in rows]


def test_bad_parameters_of_a_run_are_refused(here: Services, runs: Runs, source: Source) -> None:
    pipeline = stored(here, source, "sales")

    result = runs.run(pipeline, start_date="2026-02-30")

    ended = runs.execution(result)
    assert code_of(ended) == "INVALID_PARAMETERS"
    assert ended.error_details is not None
    assert "start_date" in ended.error_details.error_message


def test_a_retry_uses_staged_files_again(here: Services, runs: Runs, source: Source, monkeypatch: Any) -> None:
    pipeline = stored(here, source, "sales")

    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("ingestion.orchestration.execution.load", break_down)
        failed = runs.execution(runs.run(pipeline))
    (here.settings.buckets_dir / "sales" / "rows.csv").unlink()
    retry = accept(here.store, pipeline, retry_of_execution_id=failed.execution_id)

    assert runs.run(pipeline, retry).success

    assert len(loaded(here.settings, "sales")) == 3
