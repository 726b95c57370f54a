"""Quarantined rows on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.wire.envelopes import Instant, WireModel
from ingestion.clock import to_wire
from ingestion.model.base import StrictModel
from ingestion.model.quarantine import QuarantineRecord, QuarantineStatus

MOST_RECORDS = 1_000

RecordId = Annotated[str, Field(min_length=1, max_length=300)]


class RecordsWanted(StrictModel):
    """Which OPEN rows are meant: those of `record_ids`, of an execution, with an error code; all without any."""

    record_ids: list[RecordId] | None = Field(default=None, min_length=1, max_length=MOST_RECORDS)
    execution_id: str | None = Field(default=None, min_length=1)
    error_code: str | None = Field(default=None, min_length=1)


class Replay(RecordsWanted):
    """Which OPEN rows a replay takes; all of them when nothing is said."""


class Discard(RecordsWanted):
    """Which OPEN rows are given up; all of them when nothing is said."""


class QuarantinedShown(WireModel):
    """A quarantined row as it is read. What is not known is null."""

    record_id: str
    object: str | None
    position: str | None
    stage: str | None
    error_code: str | None
    column: str | None
    expected: str | None
    got: str | None
    raw_row: str | None
    status: QuarantineStatus
    execution_id: str
    quarantined_at: Instant
    decided_by: str | None
    decided_at: Instant | None


class DiscardedShown(WireModel):
    """How many rows were given up; 0 when they had been before."""

    discarded: int = Field(ge=0)


def show_record(record: QuarantineRecord) -> dict[str, Any]:
    """A quarantined row as it is read."""
    return {
        "record_id": record.record_id,
        "object": record.object,
        "position": record.position,
        "stage": record.stage,
        "error_code": record.error_code,
        "column": record.column_name,
        "expected": record.expected,
        "got": record.got,
        "raw_row": record.raw_row,
        "status": record.status.value,
        "execution_id": record.execution_id,
        "quarantined_at": to_wire(record.quarantined_at),
        "decided_by": record.decided_by,
        "decided_at": to_wire(record.decided_at) if record.decided_at else None,
    }
