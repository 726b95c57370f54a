"""What every warehouse does: stage rows beside the target, audit them, publish them in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ingestion.model.load import WriteDisposition
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.model.schema import TableSchema
from ingestion.sources.base import Cursor, ObjectVersion


@dataclass(frozen=True)
class TargetTable:
    """A table of a dataset."""

    dataset: str
    table: str


@dataclass(frozen=True)
class TargetState:
    """What the warehouse knows before a load. `schema` is None when the table does not exist.

    Without the table there is no cursor and no loaded object either: dropping a table means reading all
    of it again. `last_execution_id` is the pipeline's latest load into the table.
    """

    schema: TableSchema | None
    row_count: int
    cursor: Cursor | None
    loaded_objects: frozenset[ObjectVersion]
    last_execution_id: str | None = None


@dataclass(frozen=True)
class LoadRequest:
    """Rows to bring beside the target: Parquet files of `schema`, and reject files for the quarantine."""

    execution_id: str
    pipeline_id: str
    target: TargetTable
    schema: TableSchema
    files: Sequence[Path]
    rejects: Sequence[Path]


@dataclass(frozen=True)
class PublishRequest:
    """How the staged rows become visible.

    `key` is for MERGE; of several staged rows with one key the one with the greatest `latest_by` wins.
    `skip_present`: an append skips staged rows that the target already has, as often as it has them;
    `window` narrows the comparison to rows at or above it, or without a value in its column.
    `cursor` and `objects` become the new state, unless they are None or empty (backfills);
    `cursor_before` has to be the stored cursor then. More quarantined rows than `bad_record_limit`
    stop the publish. Column names are those of the target, except in the cursors.
    """

    execution_id: str
    pipeline_id: str
    target: TargetTable
    schema: TableSchema
    disposition: WriteDisposition
    key: tuple[str, ...] = ()
    latest_by: str | None = None
    skip_present: bool = False
    window: Cursor | None = None
    cursor: Cursor | None = None
    cursor_before: Cursor | None = None
    objects: Sequence[ObjectVersion] = ()
    extracted: int = 0
    filtered: int = 0
    deduplicated: int = 0
    bad_record_limit: int | None = None


@dataclass(frozen=True)
class PublishResult:
    """Counted in the warehouse inside the publish transaction, and kept in the load record.

    extracted = loaded + quarantined + deduplicated + filtered.
    """

    loaded: int
    quarantined: int
    deduplicated: int
    filtered: int
    extracted: int
    target_rows: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Warehouse(Protocol):
    """One warehouse. All methods are blocking, open what they need and close it again, and raise
    TargetFailed, TargetBusy, SchemaMismatch or TooManyBadRecords."""

    def state(self, pipeline_id: str, target: TargetTable) -> TargetState:
        """The target as it is now."""
        ...

    def stage(self, request: LoadRequest) -> int:
        """Write the rows to the execution's own staging table; the count is read back from it. Replays replace."""
        ...

    def audit(self, execution_id: str, target: TargetTable, checks: Sequence[CheckSpec]) -> Sequence[CheckResult]:
        """Run the checks on the staging table."""
        ...

    def publish(self, request: PublishRequest) -> PublishResult:
        """Make the staged rows, the quarantined rows, cursor and load record visible in one transaction.

        A second publish of one execution changes nothing and answers the first one's result.
        """
        ...

    def published(self, execution_id: str, target: TargetTable) -> PublishResult | None:
        """The load record of an execution, or None when it never published."""
        ...

    def discard(self, execution_id: str, target: TargetTable) -> None:
        """Drop the execution's staging table, if there is one."""
        ...
