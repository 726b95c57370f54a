"""How far pipelines have read: looked at, set and reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
from starlette.datastructures import Headers

from api.etags import EntityTag, require_tag
from api.services.target_calls import refuse_while_running, target_failures, target_of
from api.wire.checking import checked
from api.wire.state import StateChanges
from ingestion.errors import InvalidRequest, InvalidState
from ingestion.formats.types import duckdb_type, type_label
from ingestion.model.pipeline import Pipeline
from ingestion.model.problems import Problem
from ingestion.model.schema import FieldMode, FieldType, TableSchema
from ingestion.sources.base import Cursor
from ingestion.store import Store
from ingestion.warehouses import CursorState, TargetState, Warehouse

_ORDERED = frozenset(FieldType) - {FieldType.JSON, FieldType.RECORD, FieldType.BOOLEAN}


def tag_of(state: CursorState) -> EntityTag:
    """The entity tag of a state."""
    return EntityTag(0, state.version)


class StateService:
    """What the endpoints of a pipeline's state do."""

    def __init__(self, store: Store, warehouse: Warehouse) -> None:
        self._store = store
        self._warehouse = warehouse

    def get(self, pipeline_id: str) -> tuple[Pipeline, CursorState, TargetState]:
        """The state. Raises NotFound, ServiceUnavailable."""
        pipeline = self._store.pipelines.get(pipeline_id)
        target = target_of(pipeline)
        with target_failures():
            cursor = self._warehouse.cursor_state(pipeline_id, target)
            return pipeline, cursor, self._warehouse.state(pipeline_id, target)

    def set(
        self, pipeline_id: str, body: Mapping[str, Any], by: str, headers: Headers
    ) -> tuple[Pipeline, CursorState, TargetState]:
        """Set or reset the cursor.

        Raises NotFound, InvalidRequest, AlreadyRunning, PreconditionFailed, InvalidState, ServiceUnavailable.
        """
        pipeline, before, target = self.get(pipeline_id)
        given = checked(StateChanges, body).cursor
        require_tag(headers, tag_of(before))
        refuse_while_running(self._store, pipeline_id)
        cursor = None if given is None else Cursor(given.key, given.value)
        if target.schema is None:
            raise InvalidState(
                f"the table {pipeline.target_dataset}.{pipeline.target_table} does not exist yet, and a cursor lives "
                "with its rows; execute the pipeline first"
            )
        if cursor is not None:
            self._check(pipeline, cursor, target.schema)
        with target_failures():
            after = self._warehouse.set_cursor(pipeline_id, target_of(pipeline), cursor, by=by, version=before.version)
        return pipeline, after, target

    def _check(self, pipeline: Pipeline, cursor: Cursor, schema: TableSchema) -> None:
        source = self._store.sources.get(pipeline.source_id)
        followed = pipeline.extraction(source.source_type).cursor_column
        if followed is None:
            raise InvalidState("the pipeline follows no cursor; extraction_params.incremental_key makes it")
        if cursor.key != followed:
            raise InvalidRequest([Problem("cursor.key", f"the pipeline follows {followed!r}, not {cursor.key!r}")])
        problem = value_problem(pipeline, cursor, schema)
        if problem is not None:
            raise InvalidRequest([Problem("cursor.value", problem)])


def value_problem(pipeline: Pipeline, cursor: Cursor, schema: TableSchema) -> str | None:
    """Why the cursor's value is none of its column's type; None when it is, or when the table lacks the column."""
    changes = pipeline.settings().transformation_params
    names = {old.lower(): new for old, new in ((changes and changes.column_mappings) or {}).items()}
    column = schema.get(names.get(cursor.key.lower(), cursor.key))
    if column is None:
        return None
    if column.type not in _ORDERED or column.mode is FieldMode.REPEATED:
        return f"the column {column.name} is {type_label(column)}, which has no order to follow"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT TRY_CAST(? AS {duckdb_type(column)}) IS NOT NULL", [cursor.value])
        row = found.fetchone()
    fits = row is not None and bool(row[0])
    return (
        None if fits else f"{cursor.value!r} is not a value of the column {column.name}, which is {type_label(column)}"
    )
