"""A native Dagster schedule per pipeline that has a cron expression."""

import uuid
from datetime import UTC, datetime

import dagster as dg

from ingestion.errors import NotFound
from ingestion.model.execution import Execution, Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.orchestration import tags
from ingestion.orchestration.acceptance import SYSTEM
from ingestion.orchestration.services import services
from ingestion.store import NewExecution, Store

SUFFIX = "_schedule"
_NAMESPACE = uuid.UUID("5a3c4ab8-93e5-5f3e-b9f4-0f6c1a0b7d52")


def schedule_name(dag_id: str) -> str:
    """The name of a pipeline's schedule."""
    return dag_id + SUFFIX


def build_schedule(pipeline: Pipeline, source: Source) -> dg.ScheduleDefinition | None:
    """The schedule of a pipeline, running while pipeline and source are active. None without a cron expression."""
    configuration = pipeline.settings()
    if configuration.schedule is None:
        return None
    is_active = pipeline.is_active and source.is_active

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return evaluate_tick(context, pipeline.dag_id)

    return dg.ScheduleDefinition(
        name=schedule_name(pipeline.dag_id),
        job_name=pipeline.dag_id,
        cron_schedule=configuration.schedule,
        execution_timezone=configuration.timezone or "UTC",
        execution_fn=evaluate,
        default_status=dg.DefaultScheduleStatus.RUNNING if is_active else dg.DefaultScheduleStatus.STOPPED,
        description=f"Runs {pipeline.pipeline_name} while the pipeline and its source are active.",
        tags={tags.PIPELINE_ID: pipeline.pipeline_id},
    )


def evaluate_tick(context: dg.ScheduleEvaluationContext, dag_id: str) -> dg.RunRequest | dg.SkipReason:
    """What a tick does: ask for the slot's run, or skip with a reason.

    A slot is one execution with an id made from it, so evaluating it again changes nothing. A test tick of the UI
    stores nothing at all.
    """
    store = services().store
    slot = context.scheduled_execution_time.astimezone(UTC)
    try:
        pipeline = store.pipelines.by_dag_id(dag_id)
        source = store.sources.get(pipeline.source_id)
    except NotFound as error:
        return dg.SkipReason(error.message)
    if not pipeline.is_active:
        return dg.SkipReason(f"the pipeline '{pipeline.pipeline_name}' is not active")
    if not source.is_active:
        return dg.SkipReason(f"the source '{source.name}' is not active")
    run_key = f"{dag_id}:{slot.isoformat()}"
    if _is_test(context):
        return dg.RunRequest(run_key=run_key)
    return _request(_accept(store, pipeline, source, run_key), slot, run_key)


def _accept(store: Store, pipeline: Pipeline, source: Source, run_key: str) -> Execution:
    return store.executions.accept(
        NewExecution(
            execution_id=str(uuid.uuid5(_NAMESPACE, f"{pipeline.pipeline_id}:{run_key}")),
            pipeline=pipeline,
            source_type=source.source_type,
            trigger=Trigger.SCHEDULE,
            execution_params=None,
            created_by=SYSTEM,
            is_forced=False,
            queue_if_busy=True,
            replace_queued=True,
        )
    )


def _request(execution: Execution, slot: datetime, run_key: str) -> dg.RunRequest | dg.SkipReason:
    if execution.status.is_final or execution.dagster_run_id is not None:
        return dg.SkipReason(f"execution '{execution.execution_id}' of {slot.isoformat()} is {execution.status}")
    if execution.is_queued:
        return dg.SkipReason(
            f"the pipeline is busy: execution '{execution.execution_id}' of {slot.isoformat()} is queued "
            f"and starts when the pipeline is free"
        )
    return dg.RunRequest(
        run_key=run_key,
        tags={tags.EXECUTION_ID: execution.execution_id, tags.REVISION: str(execution.pipeline_revision)},
    )


def _is_test(context: dg.ScheduleEvaluationContext) -> bool:
    # The daemon gives its tick's number as the last part of the log key, a test tick of the UI has none.
    log_key = context.log_key
    return not log_key or not log_key[-1].isdigit()
