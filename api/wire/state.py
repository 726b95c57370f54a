"""The state of a pipeline on the wire: how far it has read."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.wire.envelopes import Instant, WireModel
from ingestion.clock import to_wire
from ingestion.model.base import StrictModel
from ingestion.model.pipeline import Pipeline
from ingestion.warehouses import CursorState, TargetState


class CursorGiven(StrictModel):
    """A cursor: the column that is followed, and the greatest value that counts as read."""

    key: str = Field(min_length=1)
    value: str


class StateChanges(StrictModel):
    """The cursor to go on from. null resets it: the next execution reads everything."""

    cursor: CursorGiven | None


class CursorShown(WireModel):
    """How far a pipeline has read."""

    key: str
    value: str


class StateShown(WireModel):
    """What the target knows of a pipeline. `execution_id` is null for a cursor that a user has set."""

    pipeline_id: str
    target_dataset: str
    target_table: str
    cursor: CursorShown | None
    previous_value: str | None
    execution_id: str | None
    set_by: str | None
    set_at: Instant | None
    loaded_objects: int = Field(ge=0)


def show_state(pipeline: Pipeline, cursor: CursorState, target: TargetState) -> dict[str, Any]:
    """The state as it is read."""
    now = cursor.cursor
    return {
        "pipeline_id": pipeline.pipeline_id,
        "target_dataset": pipeline.target_dataset,
        "target_table": pipeline.target_table,
        "cursor": {"key": now.key, "value": now.value} if now else None,
        "previous_value": cursor.previous_value,
        "execution_id": cursor.execution_id,
        "set_by": cursor.set_by,
        "set_at": to_wire(cursor.set_at) if cursor.set_at else None,
        "loaded_objects": len(target.loaded_objects),
    }
