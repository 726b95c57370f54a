"""Incremental reading: what is asked for, which rows belong to it, and how far it came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingestion.errors import QueryFailed, SchemaMismatch
from ingestion.formats.engine import Tick, engine, run
from ingestion.formats.staged import StagedFile, staged_file
from ingestion.formats.types import duckdb_type, literal, quoted, type_label
from ingestion.model.extraction.api import ApiExtraction
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sources.api.request import ApiRequest
from ingestion.sources.base import Cursor, ExtractionRequest
from ingestion.sources.cursors import greatest

_TEMPORAL = (FieldType.TIMESTAMP, FieldType.DATETIME, FieldType.DATE)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """From `low`, included, to before `high`; None where it is open. Rows without a key are always in it."""

    low: str | None = None
    high: str | None = None


def span_of(request: ExtractionRequest) -> Span:
    """The rows an execution is about: the days it is given, else those from the cursor on."""
    execution = request.execution
    if execution.is_backfill:
        end = execution.end_date
        after = None if end is None or end == dt.date.max else (end + _DAY).isoformat()
        return Span(execution.start_date.isoformat() if execution.start_date else None, after)
    return Span(request.cursor.value if request.cursor else None)


def asking_for(request: ApiRequest, params: ApiExtraction, span: Span, now: datetime) -> ApiRequest:
    """The request with the bounds as parameters, where the pipeline names some."""
    values: dict[str, str | int] = {}
    low = span.low or params.initial_value
    if params.cursor_param is not None and low is not None:
        values[params.cursor_param] = formatted(low, params.cursor_format)
    if params.until_param is not None:
        values[params.until_param] = formatted(span.high or now.astimezone(UTC).isoformat(), params.cursor_format)
    if not values:
        return request
    place = "variables" if params.query is not None else "query"
    if params.query is None and params.cursor_in == "body":
        place = "body"
    return request.with_values(values, place)


def formatted(value: str, form: str | None) -> str | int:
    """A bound as the API wants it. Raises QueryFailed for one that is no time when a form of times is wanted."""
    if form is None:
        return value.removesuffix(".000000Z") + "Z" if value.endswith(".000000Z") else value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise QueryFailed(
            f"cursor_format '{form}' is for times, but the bound to ask from is '{value}'; leave it out"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if form == "iso":
        return moment.isoformat().replace("+00:00", "Z")
    if form == "date":
        return moment.date().isoformat()
    if form in ("epoch_seconds", "epoch_millis"):
        # Rounded down: the bound is included, so a part of a second too early loses nothing.
        microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1)
        return microseconds // (1_000_000 if form == "epoch_seconds" else 1_000)
    return moment.strftime(form)


def declared_key(params: ApiExtraction, known: TableSchema | None, sample: object) -> SchemaField | None:
    """The field of an incremental key that is sent as text and is an instant: as text it would have a wrong order."""
    key = params.incremental_key
    if key is None or not isinstance(sample, str) or (known is not None and known.get(key) is not None):
        return None
    if any(field.name.lower() == key.lower() for field in params.schema_ or ()):
        return None
    try:
        moment = datetime.fromisoformat(sample)
    except ValueError:
        return None
    if len(sample) < len("2026-01-01T00:00"):
        return None  # A date alone has the same order as text.
    kind = FieldType.TIMESTAMP if moment.tzinfo is not None else FieldType.DATETIME
    return SchemaField(name=key, type=kind)


def new_cursor(
    files: Sequence[Path], schema: TableSchema, params: ApiExtraction, request: ExtractionRequest, started: datetime
) -> Cursor | None:
    """The greatest key that was read, but no time after the reading began.

    What changed while the pages were read may have been on a page that was read before: it is read again.
    """
    key = params.incremental_key
    if key is None or request.execution.is_backfill:
        return None
    found = greatest(files, schema, key, request.cursor)
    field = schema.get(key)
    if found is None or field is None or field.type not in _TEMPORAL:
        return found
    latest = datetime.fromisoformat(found.value)
    latest = latest.replace(tzinfo=UTC) if latest.tzinfo is None else latest
    if latest <= started:
        return found
    capped = started.astimezone(UTC).replace(tzinfo=None)
    if field.type is FieldType.DATE:
        capped_text = capped.date().isoformat()
    else:
        capped_text = capped.isoformat(timespec="microseconds") + ("Z" if field.type is FieldType.TIMESTAMP else "")
    return Cursor(key, capped_text)


def within(
    files: Sequence[StagedFile], folder: Path, schema: TableSchema, key: str, span: Span, tick: Tick
) -> Sequence[StagedFile]:
    """The staged files without rows outside of the span: an API may send more than it is asked for.

    Raises SchemaMismatch when there is no such column, QueryFailed when days are asked of a key that is no time.
    """
    if (span.low is None and span.high is None) or not files:
        return files
    field = schema.get(key)
    if field is None:
        raise SchemaMismatch(f"incremental_key names {key}, but the columns are {', '.join(schema.names)}", column=key)
    condition = _condition(field, span)
    kept: list[StagedFile] = []
    scratch = folder / "bounds"
    scratch.mkdir()
    with engine(scratch) as connection:
        for file in files:
            rest = _kept(connection, folder / file.name, condition, file, tick)
            kept += [rest] if rest is not None else []
    for left in sorted(scratch.rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    scratch.rmdir()
    return kept


def _condition(field: SchemaField, span: Span) -> str:
    column, kind = quoted(field.name), duckdb_type(field)
    bounds = [
        f"{column} {operator} CAST({literal(value)} AS {kind})"
        for operator, value in ((">=", span.low), ("<", span.high))
        if value is not None
    ]
    return f"({column} IS NULL OR ({' AND '.join(bounds)}))"


def _kept(
    connection: duckdb.DuckDBPyConnection, path: Path, condition: str, file: StagedFile, tick: Tick
) -> StagedFile | None:
    relation = f"read_parquet({literal(str(path))})"
    try:
        count = int(run(connection, f"SELECT count(*) FILTER (WHERE {condition}) FROM {relation}", tick)[0][0])
    except duckdb.ConversionException as error:
        raise QueryFailed(f"The bounds do not fit the incremental key: {str(error).partition(chr(10))[0]}") from error
    if count == file.rows:
        return file
    if count == 0:
        path.unlink()
        return None
    rest = path.with_suffix(".within")
    run(
        connection,
        f"COPY (SELECT * FROM {relation} WHERE {condition}) TO {literal(str(rest))} "
        f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)",
        tick,
    )
    rest.replace(path)
    return staged_file(path, count)


def require_temporal(schema: TableSchema, key: str) -> None:
    """Refuse days for a key that is no time."""
    field = schema.get(key)
    if field is not None and field.type not in _TEMPORAL:
        raise QueryFailed(
            f"start_date and end_date need an incremental_key that is a date or timestamp, but '{key}' is "
            f"{type_label(field)}"
        )
