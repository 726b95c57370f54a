"""Which execution a run works on."""

from __future__ import annotations

import uuid
from typing import Any

import dagster as dg
import pytest

from ingestion.errors import AlreadyExecuting, InvalidParameters, NotFound
from ingestion.model.execution import Execution, ExecutionStatus, Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.orchestration import tags
from ingestion.orchestration.acceptance import SYSTEM, NotOurs, accepted_execution
from ingestion.store import Store
from ingestion_tests.orchestration.deployment import a_pipeline, accept


@pytest.fixture
def pipeline(home_store: Store, source: Source) -> Pipeline:
    return home_store.pipelines.add(a_pipeline(source, "sales"))


def a_run(pipeline: Pipeline, execution: Execution | None = None, **changes: Any) -> dg.DagsterRun:
    more = changes.pop("tags", {})
    run_tags = more | ({tags.EXECUTION_ID: execution.execution_id} if execution else {})
    return dg.DagsterRun(job_name=pipeline.dag_id, run_id=str(uuid.uuid4()), tags=run_tags, **changes)


def recorded(store: Store, run: dg.DagsterRun) -> tuple[ExecutionStatus, str | None]:
    execution = store.executions.get(run.run_id)
    return execution.status, execution.error_details.error_code if execution.error_details else None


def test_a_launched_run_starts_its_execution_at_its_first_task(home_store: Store, pipeline: Pipeline) -> None:
    execution = accept(home_store, pipeline)
    run = a_run(pipeline, execution)

    first, second = accepted_execution(home_store, run), accepted_execution(home_store, run)

    assert (first.is_first_task, second.is_first_task) == (True, False)
    assert first.execution == second.execution == home_store.executions.get(execution.execution_id)
    assert (first.execution.status, first.execution.dagster_run_id) == (ExecutionStatus.RUNNING, run.run_id)


@pytest.mark.parametrize(
    ("run_tags", "trigger"), [({}, Trigger.RUN), ({tags.SCHEDULE_NAME: "sales_schedule"}, Trigger.SCHEDULE)]
)
def test_a_run_of_dagster_s_own_is_registered(
    home_store: Store, pipeline: Pipeline, run_tags: dict[str, str], trigger: Trigger
) -> None:
    run = a_run(pipeline, tags=run_tags, run_config={"batch_size": 5})

    accepted = accepted_execution(home_store, run)

    assert accepted.is_first_task
    execution = accepted.execution
    assert (execution.execution_id, execution.dagster_run_id) == (run.run_id, run.run_id)
    assert (execution.trigger, execution.created_by, execution.execution_params) == (trigger, SYSTEM, {"batch_size": 5})


def test_a_re_execution_retries_what_its_parent_did(home_store: Store, pipeline: Pipeline) -> None:
    execution = accept(home_store, pipeline)
    parent = a_run(pipeline, execution)
    accepted_execution(home_store, parent)
    home_store.executions.cancel(execution.execution_id)

    for copied_tags in (execution, None):
        again = a_run(pipeline, copied_tags, parent_run_id=parent.run_id, root_run_id=parent.run_id)
        registered = accepted_execution(home_store, again).execution
        assert (registered.execution_id, registered.retry_of_execution_id) == (again.run_id, execution.execution_id)
        home_store.executions.cancel(registered.execution_id)


def test_a_run_whose_execution_has_ended_or_has_another_run_does_nothing(home_store: Store, pipeline: Pipeline) -> None:
    execution = accept(home_store, pipeline)
    accepted_execution(home_store, a_run(pipeline, execution))
    with pytest.raises(NotOurs, match="is RUNNING and not for this run"):
        accepted_execution(home_store, a_run(pipeline, execution))

    home_store.executions.cancel(execution.execution_id, "the reason")
    with pytest.raises(NotOurs, match="the reason"):
        accepted_execution(home_store, a_run(pipeline, execution))
    assert len(home_store.executions.unfinished()) == 0


def test_a_run_beside_another_execution_is_refused_and_leaves_a_trace(home_store: Store, pipeline: Pipeline) -> None:
    holder = accept(home_store, pipeline)
    run = a_run(pipeline)

    with pytest.raises(AlreadyExecuting, match=holder.execution_id):
        accepted_execution(home_store, run)

    assert recorded(home_store, run) == (ExecutionStatus.FAILED, "PIPELINE_ALREADY_RUNNING")
    assert home_store.executions.get(holder.execution_id) == holder
    with pytest.raises(NotOurs):
        accepted_execution(home_store, run)


def test_parameters_that_mean_nothing_are_refused_and_free_the_pipeline(home_store: Store, pipeline: Pipeline) -> None:
    run = a_run(pipeline, run_config={"start_date": "2026-02-30", "batch_size": 0})

    with pytest.raises(InvalidParameters, match=r"batch_size: .*; start_date: "):
        accepted_execution(home_store, run)

    assert recorded(home_store, run) == (ExecutionStatus.FAILED, "INVALID_PARAMETERS")
    assert accepted_execution(home_store, a_run(pipeline)).is_first_task


def test_a_run_of_a_job_without_a_pipeline(home_store: Store, pipeline: Pipeline) -> None:
    run = dg.DagsterRun(job_name="no_such_job", run_id=str(uuid.uuid4()))

    with pytest.raises(NotFound, match="no_such_job"):
        accepted_execution(home_store, run)
