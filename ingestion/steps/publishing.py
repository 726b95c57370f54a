"""Step 4, second half: the staged rows become visible. The caller has claimed the execution's fence."""

from __future__ import annotations

from ingestion.errors import TargetFailed
from ingestion.model.schema import TableSchema
from ingestion.steps.context import StepContext
from ingestion.steps.loading import has_nothing_new, write_plan
from ingestion.steps.manifest import Manifest, read_manifest
from ingestion.steps.plan import bad_record_limit
from ingestion.steps.replaying import selection_of, without_record
from ingestion.steps.staging import folder_of, staging_failures
from ingestion.warehouses.base import PublishRequest, PublishResult


def publish(ctx: StepContext) -> PublishResult:
    """Publish what was validated, in one transaction. Repeating it answers the first result."""
    folder = folder_of(ctx)
    with staging_failures(folder):
        manifest = read_manifest(folder)
        if manifest is None:
            return _already_published(ctx)
        if not manifest.validated:
            raise TargetFailed(f"the execution {manifest.execution_id} has not been validated")
        return ctx.warehouse.publish(_request(ctx, manifest))


def _already_published(ctx: StepContext) -> PublishResult:
    result = ctx.warehouse.published(ctx.execution.execution_id, ctx.target)
    if result is None:
        raise TargetFailed(f"the execution {ctx.execution.execution_id} has neither staged nor published anything")
    return result


def _request(ctx: StepContext, manifest: Manifest) -> PublishRequest:
    plan, replay = write_plan(ctx, manifest), selection_of(ctx)
    extraction, transformed, fitted = manifest.extracted(), manifest.transformation(), manifest.fitting()
    return PublishRequest(
        execution_id=manifest.execution_id,
        pipeline_id=manifest.pipeline_id,
        target=ctx.target,
        schema=TableSchema(fields=()) if has_nothing_new(manifest, plan) else without_record(fitted.table_schema),
        disposition=plan.disposition,
        key=plan.key,
        latest_by=plan.latest_by,
        deleted_by=plan.mark if plan.disposition.needs_key else None,
        skip_present=plan.skip_present,
        window=plan.window,
        history=plan.history,
        as_of=ctx.execution.start_time,
        close_absent=plan.close_absent,
        cursor=extraction.cursor if plan.moves_cursor else None,
        cursor_before=manifest.cursor,
        objects=extraction.objects,
        replay=replay,
        forgets_objects=plan.forgets_objects,
        extracted=manifest.rows_read,
        filtered=transformed.filtered + fitted.filtered,
        deduplicated=transformed.deduplicated,
        # Rows of a replay that are still bad stay where they were: there is nothing to stop.
        bad_record_limit=None if replay else bad_record_limit(ctx.pipeline.settings().load_params, manifest.rows_read),
        layout=plan.layout,
    )
