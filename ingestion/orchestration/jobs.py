"""One Dagster job per pipeline: four ops in a row, named like the contract's tasks."""

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import pairwise
from typing import Any, NoReturn

import dagster as dg

from ingestion.model.execution import task_ids_for
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.orchestration import tags
from ingestion.orchestration.assets import job_asset_layer
from ingestion.orchestration.execution import Event, run_task
from ingestion.orchestration.resources import WAREHOUSE_KEY

_TASK_DESCRIPTIONS = (
    "Read the source into checksummed Parquet files of this execution.",
    "Rewrite the staged files as transformation_params say; skipped when they say nothing.",
    "Write the staged rows to a staging table beside the target.",
    "Check the staging table, then publish it, the cursor and the load record in one transaction.",
)

PARAMS_SCHEMA = dg.Permissive(  # type: ignore[no-untyped-call]
    {
        "batch_size": dg.Field(dg.Int, is_required=False, description="Rows per batch while reading; at least 1."),
        "include_deleted": dg.Field(
            dg.Bool, is_required=False, description="Whether rows the source marks as deleted are read too."
        ),
        "start_date": dg.Field(
            dg.String, is_required=False, description="First day (YYYY-MM-DD). With dates given, the cursor stays."
        ),
        "end_date": dg.Field(dg.String, is_required=False, description="Last day (YYYY-MM-DD), inclusive."),
    }
)
"""The Launchpad's form of `execution_params`; other keys are allowed, as in the API."""


def job_tags(pipeline: Pipeline) -> Mapping[str, str]:
    """Tags of the job and of each of its runs."""
    return {
        tags.PIPELINE_ID: pipeline.pipeline_id,
        tags.SOURCE_ID: pipeline.source_id,
        tags.TARGET: f"{pipeline.target_dataset}.{pipeline.target_table}",
        # A failed execution is retried by a new execution, never by Dagster behind its back.
        tags.MAX_RETRIES: "0",
    }


def build_job(
    pipeline: Pipeline,
    source: Source,
    source_key: str,
    source_resource: dg.ConfigurableResource[Any],
    warehouse: dg.ConfigurableResource[Any],
) -> dg.JobDefinition:
    """The job of a pipeline; `source_key` is its source's resource key."""
    # A configuration that is not valid any more must show here, at the latest.
    pipeline.settings()
    needs: Sequence[Set[str]] = ({source_key}, set(), {WAREHOUSE_KEY}, {WAREHOUSE_KEY})
    task_ids = task_ids_for(source.source_type)
    ops = [_op(index, task_id, needs[index]) for index, task_id in enumerate(task_ids)]
    graph = dg.GraphDefinition(
        name=pipeline.dag_id,
        node_defs=ops,
        dependencies={after: {"start": dg.DependencyDefinition(before)} for before, after in pairwise(task_ids)},
    )
    return graph.to_job(
        description=_description(pipeline, source),
        tags=dict(job_tags(pipeline)),
        metadata={"pipeline_id": pipeline.pipeline_id, "revision": pipeline.revision},
        resource_defs={source_key: source_resource, WAREHOUSE_KEY: warehouse},
        config=dg.ConfigMapping(config_schema=PARAMS_SCHEMA, config_fn=_no_op_config),
        executor_def=dg.in_process_executor,
        asset_layer=job_asset_layer(pipeline),
    )


def broken_job(dag_id: str, error: Exception) -> dg.JobDefinition:
    """A job in place of one that cannot be built: it says why, and fails with it when it is run."""
    reason = f"{type(error).__name__}: {error}"

    def fail(context: dg.OpExecutionContext, inputs: Mapping[str, Any]) -> NoReturn:
        raise dg.Failure(description=f"The job cannot be built. {reason}", allow_retries=False)

    op = dg.OpDefinition(name="cannot_be_built", compute_fn=fail, outs={"result": dg.Out(dg.Nothing)})
    graph = dg.GraphDefinition(name=dag_id, node_defs=[op])
    return graph.to_job(
        description=f"**This pipeline's job cannot be built.** {reason}",
        tags={tags.MAX_RETRIES: "0"},
        executor_def=dg.in_process_executor,
    )


def _op(index: int, task_id: str, needs: Set[str]) -> dg.OpDefinition:
    def compute(context: dg.OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Any]:
        told: list[Event] = []
        try:
            run_task(context, index, told.append)
        except dg.Failure:
            # Events that a step only logs are lost when it fails; those it yields are not.
            yield from told
            raise
        yield from told
        yield dg.Output(None)

    return dg.OpDefinition(
        name=task_id,
        compute_fn=compute,
        ins={"start": dg.In(dg.Nothing)} if index else {},
        outs={"result": dg.Out(dg.Nothing)},
        required_resource_keys=set(needs),
        description=_TASK_DESCRIPTIONS[index],
    )


def _no_op_config(params: Mapping[str, Any]) -> Mapping[str, Any]:
    # Steps read the parameters of their execution; those of the run only matter until it is registered.
    return {}


def _description(pipeline: Pipeline, source: Source) -> str:
    lines = [
        pipeline.description or pipeline.pipeline_name,
        f"Pipeline: {pipeline.pipeline_name} (revision {pipeline.revision})",
        f"From: {source.name} ({source.source_type.value})",
        f"To: {pipeline.target_dataset}.{pipeline.target_table}",
    ]
    if not pipeline.is_active:
        lines.append("The pipeline is not active: its schedule is off.")
    return "\n\n".join(lines)
