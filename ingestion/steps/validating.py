"""Step 4, first half: the checks on the staged rows. What fails here never reaches the target."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ingestion.errors import QualityFailed, TargetFailed
from ingestion.model.quality import CheckResult, CheckSpec, Severity
from ingestion.quality import default_checks, with_defaults
from ingestion.steps.context import StepContext, ValidationOutcome
from ingestion.steps.loading import has_nothing_new, write_plan
from ingestion.steps.manifest import Manifest, require_manifest, write_manifest
from ingestion.steps.plan import WritePlan
from ingestion.steps.replaying import without_record
from ingestion.steps.staging import folder_of, seconds_since, staging_failures


def validate(ctx: StepContext) -> ValidationOutcome:
    """Audit the staged rows. Raises QualityFailed, with `checks`, `metrics` and `params`, when a check stops them."""
    started = time.monotonic()
    folder = folder_of(ctx)
    with staging_failures(folder):
        manifest = require_manifest(folder)
        if manifest.staged_rows is None:
            raise TargetFailed(f"the execution {manifest.execution_id} has staged nothing yet")
        ctx.progress({"quality_checks_passed": 0, "quality_checks_failed": 0})
        results = _audit(ctx, manifest)
        outcome = ValidationOutcome(_metrics(results, started), _params(ctx), checks=results)
        _stop_on_errors(outcome)
        write_manifest(folder, manifest.model_copy(update={"validated": True}))
    return outcome


def _audit(ctx: StepContext, manifest: Manifest) -> Sequence[CheckResult]:
    plan = write_plan(ctx, manifest)
    if has_nothing_new(manifest, plan):
        return ()
    return ctx.warehouse.audit(ctx.execution.execution_id, ctx.target, _checks(ctx, manifest, plan))


def _checks(ctx: StepContext, manifest: Manifest, plan: WritePlan) -> Sequence[CheckSpec]:
    expected = manifest.rows_taken
    for step in (manifest.transformation(), manifest.fitting()):
        expected -= step.rejected + step.filtered + step.deduplicated
    quality = ctx.pipeline.settings().quality_params
    return with_defaults(
        quality.checks if quality else (),
        default_checks(without_record(manifest.fitting().table_schema), plan.key, expected),
    )


def _stop_on_errors(outcome: ValidationOutcome) -> None:
    failed = [result for result in outcome.checks if not result.passed and result.severity is Severity.ERROR]
    if failed:
        raise QualityFailed(
            "; ".join(f"the check {result.name} failed: {result.message}" for result in failed),
            checks=tuple(outcome.checks),
            metrics=dict(outcome.metrics),
            params=dict(outcome.params),
        )


def _metrics(results: Sequence[CheckResult], started: float) -> Mapping[str, Any]:
    passed = sum(result.passed for result in results)
    return {
        "quality_checks_passed": passed,
        "quality_checks_failed": len(results) - passed,
        "processing_time_seconds": seconds_since(started),
        "checks": [result.model_dump(mode="json") for result in results],
    }


def _params(ctx: StepContext) -> Mapping[str, Any]:
    return {
        "python_callable": "validate_data_quality",
        "op_kwargs": {"dataset": ctx.target.dataset, "table": ctx.target.table},
    }
