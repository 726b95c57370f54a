"""Step 2: the transformation's SELECT over the extracted files, into files of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import UnexpectedFailure
from ingestion.formats.engine import engine, run
from ingestion.formats.staged import StagedFile, staged_file
from ingestion.formats.types import duckdb_type, literal, quoted
from ingestion.model.pipeline import TransformationParams
from ingestion.model.quarantine import RECORD_COLUMN
from ingestion.model.schema import TableSchema
from ingestion.sources.base import Extraction
from ingestion.sql import column_list, parquet_relation, row_json
from ingestion.steps.context import StepContext, StepOutcome
from ingestion.steps.extracting import check_bad_records
from ingestion.steps.manifest import (
    EXTRACT_FOLDER,
    TRANSFORM_FOLDER,
    Manifest,
    Transformed,
    are_whole,
    require_manifest,
    write_manifest,
)
from ingestion.steps.plan import disposition, known_schema
from ingestion.steps.replaying import Later, join_later
from ingestion.steps.staging import empty_folder, folder_of, seconds_since, staging_failures
from ingestion.steps.timestamps import timestamp_candidates, timestamp_probe
from ingestion.steps.transformation import (
    OUTCOME,
    POSITION,
    PROBLEM,
    Outcome,
    Transformation,
    asks_for_nothing,
    compile_transformation,
)
from ingestion.warehouses.base import TargetState

_ROWS = "rows.parquet"
_REJECTS = "rejects.parquet"
# As a column of the same name would hide the row, no ordinary name will do.
_WHOLE_ROW = "_ingestion_row"


def transform(ctx: StepContext) -> StepOutcome:
    """Rewrite the extracted rows as transformation_params say; skipped when they say nothing."""
    started = time.monotonic()
    folder = folder_of(ctx)
    with staging_failures(folder):
        manifest = require_manifest(folder)
        done = manifest.transformed
        if done is None or manifest.spoiled_by or not are_whole(folder / done.folder, [*done.files, *done.rejects]):
            done = _transform(ctx, folder, manifest)
            if manifest.later is not None:
                rows = Later(folder / EXTRACT_FOLDER / manifest.later.file, manifest.later.records)
                done = join_later(ctx, folder, done, rows, manifest.target_schema)
            bad = manifest.extracted().rejected + done.rejected
            rejects = [
                *(folder / EXTRACT_FOLDER / file.name for file in manifest.extracted().rejects),
                *(folder / done.folder / file.name for file in done.rejects),
            ]
            if ctx.execution.params().quarantine_replay is None:
                check_bad_records(bad, manifest.rows_read, ctx.pipeline.settings().load_params, rejects)
            write_manifest(folder, manifest.model_copy(update={"transformed": done}))
    return StepOutcome(_metrics(manifest, done, started), _params(ctx, folder, manifest, done), skipped=done.skipped)


def _transform(ctx: StepContext, folder: Path, manifest: Manifest) -> Transformed:
    extraction = manifest.extracted()
    params = ctx.pipeline.settings().transformation_params
    if not extraction.schema.fields:
        # Nothing was read, not even what the columns are: a table that is emptied keeps its own.
        there = manifest.target_schema or extraction.schema
        return _unchanged(extraction, skipped=True).model_copy(update={"table_schema": there})
    if params is None or asks_for_nothing(params):
        return _unchanged(extraction, skipped=True)
    work = empty_folder(folder / TRANSFORM_FOLDER)
    try:
        with engine(work) as connection:
            return _Rewrite(ctx, connection, folder, manifest, params).run()
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _unchanged(extraction: Extraction, skipped: bool) -> Transformed:
    return Transformed(
        table_schema=extraction.schema,
        folder=EXTRACT_FOLDER,
        files=tuple(extraction.files),
        rows=extraction.rows,
        skipped=skipped,
    )


class _Rewrite:
    """One run of the SELECT. Rows are evaluated once and then told apart, so every row is in one place."""

    def __init__(
        self,
        ctx: StepContext,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        manifest: Manifest,
        params: TransformationParams,
    ) -> None:
        self._ctx = ctx
        self._connection = connection
        self._folder = folder
        self._extraction = manifest.extracted()
        self._known = self._known_schema(manifest)
        self._params = params
        files = [folder / EXTRACT_FOLDER / file.name for file in self._extraction.files]
        self._relation = parquet_relation(files) if files else _no_rows(self._extraction.schema)

    def run(self) -> Transformed:
        """Compile, evaluate, write."""
        self._tick()
        compiled = self._compile()
        if compiled.is_identity:
            shutil.rmtree(self._folder / TRANSFORM_FOLDER)
            return _unchanged(self._extraction, skipped=False)
        self._execute(f"CREATE TEMP TABLE evaluated AS {compiled.select}")
        counts = self._counts()
        kept = self._write(_ROWS, self._kept_rows(compiled), counts[Outcome.KEPT])
        rejects = self._write(_REJECTS, self._rejected_rows(), counts[Outcome.REJECTED])
        return Transformed(
            table_schema=compiled.schema,
            folder=TRANSFORM_FOLDER,
            files=kept,
            rows=counts[Outcome.KEPT],
            rejects=rejects,
            rejected=counts[Outcome.REJECTED],
            filtered=counts[Outcome.FILTERED],
            deduplicated=counts[Outcome.DUPLICATE],
        )

    def _known_schema(self, manifest: Manifest) -> TableSchema | None:
        configuration = self._ctx.pipeline.settings()
        intended = disposition(configuration, self._ctx.pipeline.extraction(self._ctx.source.source_type))
        state = TargetState(manifest.target_schema, 0, None, frozenset())
        return known_schema(configuration, intended, state)

    def _compile(self) -> Transformation:
        source = self._extraction.schema
        candidates = timestamp_candidates(self._params, source, self._known)
        answers = self._execute(timestamp_probe(candidates, self._relation))[0] if candidates else ()
        timestamps = [name for name, is_timestamp in zip(candidates, answers, strict=True) if is_timestamp]
        return compile_transformation(self._params, source, self._relation, self._known, timestamps)

    def _counts(self) -> Mapping[Outcome, int]:
        rows = dict(self._execute(f"SELECT {quoted(OUTCOME)}, count(*) FROM evaluated GROUP BY ALL"))
        counts = {outcome: int(rows.get(outcome.value, 0)) for outcome in Outcome}
        if sum(counts.values()) != self._extraction.rows:
            raise UnexpectedFailure(f"{sum(counts.values())} of {self._extraction.rows} rows were transformed")
        return counts

    def _kept_rows(self, compiled: Transformation) -> str:
        # Only the window of deduplicate leaves the rows in another order.
        order = f" ORDER BY {quoted(POSITION)}" if self._params.deduplicate else ""
        columns = column_list(compiled.schema.names)
        return f"SELECT {columns} FROM evaluated WHERE {quoted(OUTCOME)} = '{Outcome.KEPT}'{order}"

    def _rejected_rows(self) -> str:
        objects = self._extraction.objects
        origin = literal(objects[0].name) if len(objects) == 1 else "CAST(NULL AS VARCHAR)"
        problem, position = f"e.{quoted(PROBLEM)}", quoted(POSITION)
        schema = self._extraction.schema
        names = column_list(schema.names)
        own = TableSchema(fields=tuple(field for field in schema.fields if field.name != RECORD_COLUMN))
        # A row that came from the quarantine is known there by its record.
        place = f"'row ' || e.{position}" if own == schema else f"s.source.{quoted(RECORD_COLUMN)}"
        numbered = (
            f"SELECT {position}, {_WHOLE_ROW} AS source "
            f"FROM (SELECT row_number() OVER () AS {position}, {_WHOLE_ROW} FROM "
        )
        return (
            f"SELECT {origin} AS object, {place} AS position, 'transform' AS stage, "
            f"{problem}.code AS error_code, {problem}.column_name AS column_name, {problem}.expected AS expected, "
            f"{problem}.got AS got, {row_json(own, 's.source.')} AS raw_row, CAST(NULL AS VARCHAR) AS raw_columns "
            f"FROM evaluated AS e JOIN ({numbered}(SELECT {names} FROM {self._relation}) AS {_WHOLE_ROW})) AS s "
            f"ON s.{position} = e.{position} WHERE e.{quoted(OUTCOME)} = '{Outcome.REJECTED}' ORDER BY e.{position}"
        )

    def _write(self, name: str, select: str, expected: int) -> tuple[StagedFile, ...]:
        if expected == 0:
            return ()
        path = self._folder / TRANSFORM_FOLDER / name
        written = int(self._execute(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet)")[0][0])
        if written != expected:
            raise UnexpectedFailure(f"{written} rows were written to {path}, not {expected}")
        return (staged_file(path, written),)

    def _execute(self, statement: str) -> Sequence[tuple[Any, ...]]:
        return run(self._connection, statement, self._tick)

    def _tick(self) -> None:
        self._ctx.progress({"records_processed": 0})


def _no_rows(schema: TableSchema) -> str:
    columns = ", ".join(f"CAST(NULL AS {duckdb_type(field)}) AS {quoted(field.name)}" for field in schema.fields)
    return f"(SELECT {columns} WHERE false)"


def _metrics(manifest: Manifest, done: Transformed, started: float) -> Mapping[str, Any]:
    if done.skipped:
        return {}
    return {
        "records_processed": manifest.extracted().rows,
        "rows_rejected": done.rejected,
        "rows_filtered": done.filtered,
        "rows_deduplicated": done.deduplicated,
        "processing_time_seconds": seconds_since(started),
    }


def _params(ctx: StepContext, folder: Path, manifest: Manifest, done: Transformed) -> Mapping[str, Any]:
    return {
        "python_callable": f"transform_{ctx.target.dataset}",
        "op_kwargs": {
            "input_file": _shown(folder / EXTRACT_FOLDER, manifest.extracted().files),
            "output_file": _shown(folder / done.folder, done.files),
        },
    }


def _shown(folder: Path, files: Sequence[StagedFile]) -> str:
    return str(folder / files[0].name) if len(files) == 1 else str(folder / "*.parquet")
