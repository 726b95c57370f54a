"""Ticks: one execution per slot, skipped with a reason when there is nothing to start."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from ingestion.model.execution import Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.orchestration import tags
from ingestion.orchestration.schedules import build_schedule, evaluate_tick
from ingestion.orchestration.services import Services
from ingestion_tests.orchestration.deployment import a_pipeline, accept

SLOT = datetime(2026, 3, 1, 2, tzinfo=UTC)
CONFIGURATION = {"schedule": "0 2 * * *", "extraction_params": {"file_pattern": "*.csv"}}


@pytest.fixture
def pipeline(here: Services, source: Source) -> Pipeline:
    return here.store.pipelines.add(a_pipeline(source, "sales", CONFIGURATION))


def tick(pipeline: Pipeline, slot: datetime = SLOT, number: str = "17") -> dg.RunRequest | dg.SkipReason:
    """Evaluate as the daemon does, whose log key ends with its tick's number."""
    context = dg.ScheduleEvaluationContext(
        instance_ref=None, scheduled_execution_time=slot, log_key=["ingestion", "schedule", number]
    )
    return evaluate_tick(context, pipeline.dag_id)


def skipped(answer: Any) -> str:
    assert isinstance(answer, dg.SkipReason)
    return answer.skip_message or ""


def test_a_tick_asks_for_the_run_of_its_slot_once(here: Services, pipeline: Pipeline) -> None:
    first, again = tick(pipeline), tick(pipeline)

    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert first.run_key == again.run_key == "gcs_to_bq_sales:2026-03-01T02:00:00+00:00"
    assert first.tags[tags.EXECUTION_ID] == again.tags[tags.EXECUTION_ID]
    [execution] = here.store.executions.unfinished()
    assert execution.execution_id == first.tags[tags.EXECUTION_ID]
    assert (execution.trigger, execution.created_by) == (Trigger.SCHEDULE, "system")

    here.store.executions.start(execution.execution_id, "run")
    assert "RUNNING" in skipped(tick(pipeline))


def test_a_busy_pipeline_queues_only_the_newest_slot(here: Services, pipeline: Pipeline) -> None:
    accept(here.store, pipeline)

    first = skipped(tick(pipeline))
    second = skipped(tick(pipeline, SLOT.replace(day=2)))

    queued = [execution for execution in here.store.executions.unfinished() if execution.is_queued]
    assert len(queued) == 1
    assert "busy" in first
    assert queued[0].execution_id in second
    assert queued[0].execution_id not in first


def test_a_test_tick_of_the_ui_stores_nothing(here: Services, pipeline: Pipeline) -> None:
    answer = tick(pipeline, number="20260301_020000")

    assert isinstance(answer, dg.RunRequest)
    assert here.store.executions.unfinished() == []


def test_inactive_pipelines_and_sources_are_skipped(here: Services, pipeline: Pipeline, source: Source) -> None:
    here.store.sources.update(source.model_copy(update={"is_active": False}), source.version)
    assert "source 'Sales Data Bucket' is not active" in skipped(tick(pipeline))

    here.store.pipelines.update(pipeline.model_copy(update={"is_active": False}), pipeline.revision)
    assert "pipeline 'sales' is not active" in skipped(tick(pipeline))

    here.store.pipelines.delete(pipeline.pipeline_id)
    assert "not found" in skipped(tick(pipeline))
    assert here.store.executions.unfinished() == []


@pytest.mark.parametrize(("pipeline_on", "source_on"), [(True, True), (False, True), (True, False)])
def test_it_runs_while_pipeline_and_source_are_active(source: Source, pipeline_on: bool, source_on: bool) -> None:
    schedule = build_schedule(
        a_pipeline(source, "t", CONFIGURATION, is_active=pipeline_on),
        source.model_copy(update={"is_active": source_on}),
    )

    assert schedule is not None
    expected = dg.DefaultScheduleStatus.RUNNING if pipeline_on and source_on else dg.DefaultScheduleStatus.STOPPED
    assert schedule.default_status is expected
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")


def test_without_a_cron_expression_there_is_no_schedule(source: Source) -> None:
    assert build_schedule(a_pipeline(source, "t"), source) is None
