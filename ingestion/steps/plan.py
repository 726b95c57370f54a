"""How an execution reads and writes, decided from the configuration and the target's state. Pure.

WRITE_TRUNCATE without an incremental key; with one MERGE when a key is known, else WRITE_APPEND;
an explicit write_disposition wins, and an explicit merge_key means MERGE. SCD2 is always explicit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import ExtractionParams, as_columns
from ingestion.model.load import ChangePolicy, HistoryColumns, LoadParams, SchemaPolicy, WriteDisposition
from ingestion.model.pipeline import PipelineConfiguration, TransformationParams
from ingestion.model.schema import FieldType, TableSchema
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses.base import TableLayout, TargetState


@dataclass(frozen=True)
class ReadPlan:
    """What to read: from which cursor on, without which files, and with which types already known."""

    is_incremental: bool
    cursor: Cursor | None
    skip_objects: frozenset[ObjectVersion]
    known_schema: TableSchema | None


@dataclass(frozen=True)
class WritePlan:
    """How to write; most fields are those of a PublishRequest.

    `mark` is the column that marks deleted rows, None when they are rows like others. Without a key marked rows
    are left out where rows are fitted to the target, with one the publish needs them.
    """

    disposition: WriteDisposition
    key: tuple[str, ...]
    latest_by: str | None
    mark: str | None
    skip_present: bool
    window: Cursor | None
    moves_cursor: bool
    forgets_objects: bool
    history: HistoryColumns | None
    close_absent: bool
    layout: TableLayout

    @property
    def replaces(self) -> bool:
        """Whether the table is made anew."""
        return self.disposition is WriteDisposition.WRITE_TRUNCATE


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
    is_replay = params.quarantine_replay is not None
    if is_replay:
        intended = _of_replay(intended)
    key = extraction.cursor_column
    is_incremental = key is not None and intended.follows_cursor
    follows = is_incremental and not params.is_backfill and not is_replay
    cursor = state.cursor if follows and state.cursor is not None and state.cursor.key == key else None
    skips = (intended is WriteDisposition.WRITE_APPEND or bool(extraction.only_new)) and not is_forced
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
    changes, load = configuration.transformation_params, configuration.load_params or LoadParams()
    types = policy(load).types
    binds = (changes is not None and changes.apply_schema) or types in (ChangePolicy.FREEZE, ChangePolicy.QUARANTINE)
    if state.schema is None or not (binds or intended is not WriteDisposition.WRITE_TRUNCATE):
        return None
    # Asked to evolve, a column of INTEGER may turn out to be wider; every other type has to be told from the target.
    left_open = (FieldType.INTEGER,) if types is ChangePolicy.EVOLVE and not (changes and changes.apply_schema) else ()
    return rows_schema(
        TableSchema(fields=tuple(field for field in state.schema.fields if field.type not in left_open)),
        history_of(load, intended),
    )


def rows_schema(target: TableSchema, history: HistoryColumns | None) -> TableSchema:
    """The target's columns that come from the rows."""
    own = {name.lower() for name in history.names} if history else set()
    return TableSchema(fields=tuple(field for field in target.fields if field.name.lower() not in own))


def policy(load: LoadParams | None) -> SchemaPolicy:
    """What differences between rows and target lead to, as far as the pipeline says."""
    return (load.schema_policy if load else None) or SchemaPolicy()


def history_of(load: LoadParams | None, chosen: WriteDisposition) -> HistoryColumns | None:
    """What SCD2 adds to the rows' columns; None without it."""
    if chosen is not WriteDisposition.SCD2:
        return None
    return (load.history_columns if load else None) or HistoryColumns()


def plan_write(
    configuration: PipelineConfiguration,
    extraction: ExtractionParams,
    params: ExecutionParams,
    read_from: Cursor | None,
    discovered_keys: Sequence[str],
) -> WritePlan:
    """How to write, once the source has told its keys. Columns are named as in the target."""
    asked = disposition(configuration, extraction, discovered_keys)
    is_replay = params.quarantine_replay is not None
    chosen = _of_replay(asked) if is_replay else asked
    key = extraction.cursor_column
    changes = configuration.transformation_params or TransformationParams()
    load = configuration.load_params or LoadParams()
    is_followed = key is not None and chosen.follows_cursor
    mark = None if params.include_deleted else extraction.deletion_mark
    column = _renamed(changes, key) if key is not None else None
    # A recalculated cursor column cannot be compared with what the source said.
    is_comparable = column is not None and column.lower() not in _lowered(changes.calculated_fields or {})
    own_key = as_columns(load.merge_key) or tuple(
        _renamed(changes, name) for name in extraction.key_columns or discovered_keys
    )
    return WritePlan(
        disposition=chosen,
        key=own_key if chosen.needs_key else (),
        latest_by=column,
        mark=_renamed(changes, mark) if mark is not None else None,
        # A table that is replaced may have got the row meanwhile, in a corrected file.
        skip_present=(is_followed and chosen is WriteDisposition.WRITE_APPEND and not is_replay)
        or (is_replay and asked is WriteDisposition.WRITE_TRUNCATE),
        window=Cursor(column, read_from.value) if read_from and column and is_comparable else None,
        moves_cursor=is_followed and not params.is_backfill and not is_replay,
        forgets_objects=chosen is WriteDisposition.WRITE_TRUNCATE and not extraction.only_new,
        history=history_of(load, chosen),
        # A part of the rows says nothing about the others.
        close_absent=bool(load.close_absent) and not is_followed and not params.is_backfill and not is_replay,
        layout=TableLayout(load.partition_field, load.partition_type, load.clustering_fields or ()),
    )


def _of_replay(asked: WriteDisposition) -> WriteDisposition:
    """Rows from the quarantine join those that are there; they never replace the table."""
    is_whole = asked in (WriteDisposition.WRITE_TRUNCATE, WriteDisposition.WRITE_EMPTY)
    return WriteDisposition.WRITE_APPEND if is_whole else asked


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
