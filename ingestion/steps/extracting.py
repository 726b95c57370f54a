"""Step 1: read the source into Parquet files of the execution's own folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import EmptySource, TooManyBadRecords, UnexpectedFailure
from ingestion.formats.rejects import reasons_of
from ingestion.model.load import LoadParams
from ingestion.sources.base import Extraction, ExtractionRequest
from ingestion.sql import parquet_relation
from ingestion.steps.context import StepContext, StepOutcome
from ingestion.steps.manifest import EXTRACT_FOLDER, LaterRows, Manifest, are_whole, read_manifest, write_manifest
from ingestion.steps.plan import ReadPlan, allows_empty, bad_record_limit, plan_read
from ingestion.steps.replaying import read_quarantine, selection_of
from ingestion.steps.staging import empty_folder, folder_of, seconds_since, staging_failures
from ingestion.warehouses.base import TargetState


def extract(ctx: StepContext) -> StepOutcome:
    """Read the source, unless this execution (or the one it retries) has done so already."""
    started = time.monotonic()
    folder = folder_of(ctx)
    with staging_failures(folder):
        done = read_manifest(folder)
        if done is not None and done.extraction is not None and _is_usable(folder, done):
            extraction = done.extraction
        else:
            extraction = _read(ctx, folder)
    return StepOutcome(_metrics(extraction, started), dict(extraction.task_params))


def _is_usable(folder: Path, done: Manifest) -> bool:
    extraction = done.extracted()
    return not done.spoiled_by and are_whole(folder / EXTRACT_FOLDER, [*extraction.files, *extraction.rejects])


def _read(ctx: StepContext, folder: Path) -> Extraction:
    configuration = ctx.pipeline.settings()
    params = ctx.execution.params()
    state = ctx.warehouse.state(ctx.pipeline.pipeline_id, ctx.target)
    extraction_params = ctx.pipeline.extraction(ctx.source.source_type)
    plan = plan_read(configuration, extraction_params, params, ctx.execution.is_forced, state)
    selection, later = selection_of(ctx), None
    request = ExtractionRequest(
        params=extraction_params,
        execution=params,
        interval=params.interval(ctx.execution.start_time),
        folder=empty_folder(folder / EXTRACT_FOLDER),
        known_schema=plan.known_schema,
        cursor=plan.cursor,
        skip_objects=plan.skip_objects,
        progress=ctx.progress,
    )
    try:
        if selection is not None:
            extraction, later = read_quarantine(
                ctx, selection, request.folder, plan.known_schema, _key_of_last_load(ctx, state)
            )
        else:
            extraction = ctx.connector.extract(request)
        _check_counts(extraction)
        if selection is None:
            _check_amount(extraction, folder, plan, configuration.load_params)
    except BaseException:
        shutil.rmtree(folder / EXTRACT_FOLDER, ignore_errors=True)
        raise
    write_manifest(
        folder,
        Manifest(
            execution_id=ctx.execution.execution_id,
            pipeline_id=ctx.pipeline.pipeline_id,
            pipeline_revision=ctx.pipeline.revision,
            source_version=ctx.source.version,
            dataset=ctx.target.dataset,
            table=ctx.target.table,
            start_date=params.start_date,
            end_date=params.end_date,
            include_deleted=params.include_deleted,
            cursor=plan.cursor,
            target_schema=state.schema,
            last_execution_id=state.last_execution_id,
            extraction=extraction,
            later=LaterRows(file=later.file.name, records=tuple(later.records)) if later else None,
        ),
    )
    return extraction


def _key_of_last_load(ctx: StepContext, state: TargetState) -> tuple[str, ...]:
    """The key the source told when it was read last: the quarantine does not know it."""
    last = state.last_execution_id and ctx.warehouse.published(state.last_execution_id, ctx.target)
    return tuple(last.details.get("key", ())) if last else ()


def _check_counts(extraction: Extraction) -> None:
    rows = sum(file.rows for file in extraction.files)
    rejected = sum(file.rows for file in extraction.rejects)
    if (rows, rejected) != (extraction.rows, extraction.rejected):
        raise UnexpectedFailure(
            f"the extracted files hold {rows} rows and {rejected} rejects, "
            f"but {extraction.rows} and {extraction.rejected} were counted"
        )


def _check_amount(extraction: Extraction, folder: Path, plan: ReadPlan, load: LoadParams | None) -> None:
    rows_read = extraction.rows + extraction.rejected
    if rows_read == 0:
        were_all_loaded = extraction.skipped_objects > 0 and not extraction.objects
        if not (plan.is_incremental or were_all_loaded or allows_empty(load)):
            raise EmptySource("the source has no rows; load_params.empty_source 'allow' accepts that")
        return
    rejects = [folder / EXTRACT_FOLDER / file.name for file in extraction.rejects]
    check_bad_records(extraction.rejected, rows_read, load, rejects)


def check_bad_records(bad: int, rows_read: int, load: LoadParams | None, rejects: Sequence[Path]) -> None:
    """Raise TooManyBadRecords, with the reasons, when more rows are bad than the pipeline allows."""
    limit = bad_record_limit(load, rows_read)
    if bad > limit:
        with duckdb.connect() as connection:
            reasons = reasons_of(connection, parquet_relation(rejects))
        raise TooManyBadRecords(
            f"{bad} of {rows_read} rows are bad, at most {limit} are allowed: {reasons}",
            bad=bad,
            allowed=limit,
            extracted=rows_read,
        )


def _metrics(extraction: Extraction, started: float) -> Mapping[str, Any]:
    metrics: dict[str, Any] = {
        "rows_extracted": extraction.rows + extraction.rejected,
        "rows_rejected": extraction.rejected,
        "bytes_processed": extraction.bytes_read,
        "objects": len(extraction.objects),
        "processing_time_seconds": seconds_since(started),
    }
    if extraction.skipped_objects:
        metrics["objects_skipped"] = extraction.skipped_objects
    return metrics
