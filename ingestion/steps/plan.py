"""How an execution reads and writes, decided from the configuration and the target's state. Pure.

WRITE_TRUNCATE without an incremental key; with one MERGE when a key is known, else WRITE_APPEND;
an explicit write_disposition wins, and an explicit merge_key means MERGE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import ExtractionParams, as_columns
from ingestion.model.load import LoadParams, WriteDisposition
from ingestion.model.pipeline import PipelineConfiguration, TransformationParams
from ingestion.model.schema import TableSchema
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses.base import TargetState


@dataclass(frozen=True)
class ReadPlan:
    """What to read: from which cursor on, without which files, and with which types already known."""

    is_incremental: bool
    cursor: Cursor | None
    skip_objects: frozenset[ObjectVersion]
    known_schema: TableSchema | None


@dataclass(frozen=True)
class WritePlan:
    """How to write; the fields are those of a PublishRequest."""

    disposition: WriteDisposition
    key: tuple[str, ...]
    latest_by: str | None
    skip_present: bool
    window: Cursor | None
    moves_cursor: bool


def disposition(
    configuration: PipelineConfiguration, extraction: ExtractionParams, discovered_keys: Sequence[str] = ()
) -> WriteDisposition:
    """How the rows meet the target."""
    load = configuration.load_params or LoadParams()
    if load.write_disposition is not None:
        return load.write_disposition
    if load.merge_key:
        return WriteDisposition.MERGE
    if extraction.cursor_column is None:
        return WriteDisposition.WRITE_TRUNCATE
    has_key = bool(discovered_keys) or bool(extraction.key_columns)
    return WriteDisposition.MERGE if has_key else WriteDisposition.WRITE_APPEND


def plan_read(
    configuration: PipelineConfiguration,
    extraction: ExtractionParams,
    params: ExecutionParams,
    is_forced: bool,
    state: TargetState,
) -> ReadPlan:
    """What to read, before anything is known about the source."""
    intended = disposition(configuration, extraction)
    key = extraction.cursor_column
    is_incremental = key is not None and intended in (WriteDisposition.MERGE, WriteDisposition.WRITE_APPEND)
    follows = is_incremental and not params.is_backfill
    cursor = state.cursor if follows and state.cursor is not None and state.cursor.key == key else None
    skips = intended is WriteDisposition.WRITE_APPEND and not is_forced
    return ReadPlan(
        is_incremental=is_incremental,
        cursor=cursor,
        skip_objects=state.loaded_objects if skips else frozenset(),
        known_schema=_at_source(configuration.transformation_params, known_schema(configuration, intended, state)),
    )


def known_schema(
    configuration: PipelineConfiguration, intended: WriteDisposition, state: TargetState
) -> TableSchema | None:
    """The target's columns where they bind the new rows: a table that is replaced may get other types."""
    applies = configuration.transformation_params and configuration.transformation_params.apply_schema
    return state.schema if applies or intended is not WriteDisposition.WRITE_TRUNCATE else None


def plan_write(
    configuration: PipelineConfiguration,
    extraction: ExtractionParams,
    params: ExecutionParams,
    read_from: Cursor | None,
    discovered_keys: Sequence[str],
) -> WritePlan:
    """How to write, once the source has told its keys. Columns are named as in the target."""
    chosen = disposition(configuration, extraction, discovered_keys)
    key = extraction.cursor_column
    changes = configuration.transformation_params or TransformationParams()
    load = configuration.load_params or LoadParams()
    is_followed = key is not None and chosen in (WriteDisposition.MERGE, WriteDisposition.WRITE_APPEND)
    column = _renamed(changes, key) if key is not None else None
    # A recalculated cursor column cannot be compared with what the source said.
    is_comparable = column is not None and column.lower() not in _lowered(changes.calculated_fields or {})
    own_key = as_columns(load.merge_key) or tuple(
        _renamed(changes, name) for name in extraction.key_columns or discovered_keys
    )
    return WritePlan(
        disposition=chosen,
        key=own_key if chosen is WriteDisposition.MERGE else (),
        latest_by=column,
        skip_present=is_followed and chosen is WriteDisposition.WRITE_APPEND,
        window=Cursor(column, read_from.value) if read_from and column and is_comparable else None,
        moves_cursor=is_followed and not params.is_backfill,
    )


def bad_record_limit(load: LoadParams | None, rows_read: int) -> int:
    """How many bad rows an execution may have: as set, else at most half of the rows."""
    if load is not None and load.max_bad_records is not None:
        return load.max_bad_records
    return rows_read // 2


def allows_empty(load: LoadParams | None) -> bool:
    """Whether a source without rows is fine."""
    return load is not None and load.empty_source == "allow"


def _renamed(changes: TransformationParams, name: str) -> str:
    mapped = {old.lower(): new for old, new in (changes.column_mappings or {}).items()}
    return mapped.get(name.lower(), name)


def _lowered(names: dict[str, str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _at_source(changes: TransformationParams | None, schema: TableSchema | None) -> TableSchema | None:
    """The target's columns by their names at the source, less those that the transformation makes or converts."""
    if changes is None or schema is None:
        return schema
    names = {new.lower(): old for old, new in (changes.column_mappings or {}).items()}
    made = _lowered(changes.calculated_fields or {}) | _lowered(changes.type_conversions or {})
    fields = [
        field.model_copy(update={"name": names.get(field.name.lower(), field.name)})
        for field in schema.fields
        if field.name.lower() not in made and names.get(field.name.lower(), "").lower() not in made
    ]
    unique = {field.name.lower(): field for field in fields}
    return TableSchema(fields=tuple(unique.values())) if unique else None
