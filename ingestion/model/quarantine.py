"""Quarantined rows: what was read but could not be loaded, kept beside the target until somebody decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

RECORD_COLUMN = "_ingestion_record"
"""A column of staged rows that are replayed: the `record_id` each of them has in the quarantine."""


class QuarantineStatus(StrEnum):
    """OPEN until its row was loaded by a replay, or given up."""

    OPEN = "OPEN"
    REPLAYED = "REPLAYED"
    DISCARDED = "DISCARDED"


@dataclass(frozen=True)
class QuarantineSelection:
    """Records of one pipeline; each field that is not None narrows them. An empty `record_ids` selects none."""

    pipeline_id: str
    record_ids: tuple[str, ...] | None = None
    execution_id: str | None = None
    error_code: str | None = None
    status: QuarantineStatus | None = None

    def only_open(self) -> QuarantineSelection:
        """The same, of the records nobody has decided on yet."""
        return QuarantineSelection(
            self.pipeline_id, self.record_ids, self.execution_id, self.error_code, QuarantineStatus.OPEN
        )


@dataclass(frozen=True)
class QuarantineRecord:
    """One quarantined row. `object`, `position` and `raw_row` are those of the first reading, whatever came later.

    `record_id` never changes: `{execution_id}-{number}`, the number of nine digits counting an execution's records
    from 1. `execution_id` is the execution that read the row, `decided_by` what replayed it
    (an execution) or gave it up (a user).
    """

    record_id: str
    object: str | None
    position: str | None
    stage: str | None
    error_code: str | None
    column_name: str | None
    expected: str | None
    got: str | None
    raw_row: str | None
    raw_columns: str | None
    execution_id: str
    pipeline_id: str
    quarantined_at: datetime
    status: QuarantineStatus
    decided_by: str | None = None
    decided_at: datetime | None = None
