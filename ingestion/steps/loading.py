"""Step 3: the rows beside the target, in a staging table of the warehouse."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ingestion.errors import EmptySource, TargetFailed
from ingestion.model.load import WriteDisposition
from ingestion.steps.context import StepContext, StepOutcome
from ingestion.steps.fitting import fit
from ingestion.steps.manifest import (
    EXTRACT_FOLDER,
    FIT_FOLDER,
    TRANSFORM_FOLDER,
    Manifest,
    require_manifest,
    write_manifest,
)
from ingestion.steps.plan import WritePlan, allows_empty, plan_write
from ingestion.steps.staging import folder_of, seconds_since, staging_failures
from ingestion.warehouses.base import LoadRequest


def load(ctx: StepContext) -> StepOutcome:
    """Stage the rows; the target itself is not touched yet."""
    started = time.monotonic()
    folder = folder_of(ctx)
    with staging_failures(folder):
        manifest = require_manifest(folder)
        plan = write_plan(ctx, manifest)
        ctx.progress({"rows_loaded": 0})
        manifest = manifest.model_copy(update={"fitted": fit(ctx, folder, manifest, plan)})
        _check_emptiness(ctx, manifest, plan)
        staged = 0 if has_nothing_new(manifest, plan) else _stage(ctx, manifest)
        write_manifest(folder, manifest.model_copy(update={"staged_rows": staged, "validated": False}))
    metrics = {"rows_loaded": staged, "processing_time_seconds": seconds_since(started)}
    return StepOutcome(metrics, _params(ctx, manifest, plan))


def write_plan(ctx: StepContext, manifest: Manifest) -> WritePlan:
    """How this execution writes."""
    extraction = manifest.extracted()
    return plan_write(
        ctx.pipeline.settings(),
        ctx.pipeline.extraction(ctx.source.source_type),
        ctx.execution.params(),
        extraction.read_from or manifest.cursor,
        extraction.keys,
    )


def has_nothing_new(manifest: Manifest, plan: WritePlan) -> bool:
    """Whether nothing was read and the target is to stay as it is: also when nothing tells columns to make it of,
    or when every file was loaded before."""
    if manifest.rows_read > 0:
        return False
    extraction = manifest.extracted()
    if plan.disposition is not WriteDisposition.WRITE_TRUNCATE or not manifest.transformation().table_schema.fields:
        return True
    return extraction.skipped_objects > 0 and not extraction.objects


def _check_emptiness(ctx: StepContext, manifest: Manifest, plan: WritePlan) -> None:
    """A table is never emptied because every row was bad or filtered."""
    if plan.disposition is not WriteDisposition.WRITE_TRUNCATE or manifest.fitting().rows > 0:
        return
    if has_nothing_new(manifest, plan) and manifest.extracted().skipped_objects > 0:
        return
    if not allows_empty(ctx.pipeline.settings().load_params):
        raise EmptySource(
            f"none of the {manifest.rows_read} rows read is left to load, and the table would be emptied; "
            "load_params.empty_source 'allow' accepts that"
        )


def _stage(ctx: StepContext, manifest: Manifest) -> int:
    folder, extraction, transformed = folder_of(ctx), manifest.extracted(), manifest.transformation()
    fitted = manifest.fitting()
    staged = ctx.warehouse.stage(
        LoadRequest(
            execution_id=ctx.execution.execution_id,
            pipeline_id=ctx.pipeline.pipeline_id,
            target=ctx.target,
            schema=fitted.table_schema,
            files=[folder / fitted.folder / file.name for file in fitted.files],
            rejects=[
                *(folder / EXTRACT_FOLDER / file.name for file in extraction.rejects),
                *(folder / TRANSFORM_FOLDER / file.name for file in transformed.rejects),
                *(folder / FIT_FOLDER / file.name for file in fitted.rejects),
            ],
            progress=ctx.progress,
        )
    )
    if staged != fitted.rows:
        raise TargetFailed(f"{staged} rows were staged, {fitted.rows} were expected")
    return staged


def _params(ctx: StepContext, manifest: Manifest, plan: WritePlan) -> Mapping[str, Any]:
    fitted = manifest.fitting()
    bucket = manifest.extracted().task_params.get("bucket")
    return {
        **({"bucket": bucket} if bucket else {}),
        "source_objects": [file.name for file in fitted.files],
        "destination_project_dataset_table": f"{ctx.settings.warehouse}:{ctx.target.dataset}.{ctx.target.table}",
        "schema_fields": [field.wire() for field in fitted.table_schema.fields],
        "write_disposition": plan.disposition.value,
    }
