"""What every warehouse does: stage rows beside the target, audit them, publish them in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ingestion.model.load import HistoryColumns, PartitionType, WriteDisposition
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.model.quarantine import QuarantineRecord, QuarantineSelection
from ingestion.model.schema import TableSchema
from ingestion.sources.base import Cursor, ObjectVersion, Progress


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
class CursorState:
    """A pipeline's cursor for a table, and what it was before. `set_by` is an execution's id or a user's name.

    Each change makes another `version`; "" stands for a cursor that was never set. `cursor` is None when it was reset.
    """

    cursor: Cursor | None = None
    previous_value: str | None = None
    set_by: str | None = None
    set_at: datetime | None = None
    execution_id: str | None = None
    version: str = ""


@dataclass(frozen=True)
class QuarantinePage:
    """Some records, the latest first, of `total` selected ones."""

    records: Sequence[QuarantineRecord]
    total: int


@dataclass(frozen=True)
class TableLayout:
    """How the target is stored: `partition_field` in steps of `partition_type`, rows near each other by `clustering`.

    It is applied when the table is made; a warehouse without partitions keeps it on record.
    """

    partition_field: str | None = None
    partition_type: PartitionType | None = None
    clustering: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadRequest:
    """Rows to bring beside the target: Parquet files of `schema`, and reject files for the quarantine.

    The files hold exactly the columns and types of `schema`: the load step has fitted them to the target. Where
    a replay stages rows, `schema` has RECORD_COLUMN as its last column. `progress` may raise to stop the work.
    """

    execution_id: str
    pipeline_id: str
    target: TargetTable
    schema: TableSchema
    files: Sequence[Path]
    rejects: Sequence[Path]
    progress: Progress = field(default=lambda metrics: None)


@dataclass(frozen=True)
class PublishRequest:
    """How the staged rows become visible.

    `schema` is what is written: columns the target lacks are added, types of its columns are widened to the
    staged ones where formats.widening says that nothing is lost, everything else is SchemaMismatch.

    `key` is for MERGE and SCD2; of several staged rows with one key the one with the greatest `latest_by` wins.
    `deleted_by` names the column that marks deleted rows (see ExtractionParams.deletion_mark): marked rows are
    not written but counted as filtered; a MERGE deletes the target's row with the key, SCD2 closes it. It is
    None when marked rows are rows like others.
    `skip_present`: an append skips staged rows that the target already has, as often as it has them;
    `window` narrows the comparison to rows at or above it, or without a value in its column.
    `history` and `as_of` (the instant versions begin and end at) are for SCD2; `close_absent` closes the
    versions whose key was not staged.
    `cursor` and `objects` become the new state, unless they are None or empty (backfills);
    `cursor_before` has to be the stored cursor then. `forgets_objects`: files loaded earlier are not in the
    table any more. More quarantined rows than `bad_record_limit` stop the publish.
    `replay`: the rows were taken from the quarantine. Staged rows have RECORD_COLUMN, rejects their record's id
    as `position`: records rejected again keep their place and get the new reason, all other selected ones
    become REPLAYED. Nothing is added to the quarantine. With a key and `latest_by`, a replayed row that is older
    than the target's counts as deduplicated.
    Column names are those of the target, except in the cursors.
    """

    execution_id: str
    pipeline_id: str
    target: TargetTable
    schema: TableSchema
    disposition: WriteDisposition
    key: tuple[str, ...] = ()
    latest_by: str | None = None
    deleted_by: str | None = None
    skip_present: bool = False
    window: Cursor | None = None
    history: HistoryColumns | None = None
    as_of: datetime | None = None
    close_absent: bool = False
    cursor: Cursor | None = None
    cursor_before: Cursor | None = None
    objects: Sequence[ObjectVersion] = ()
    forgets_objects: bool = False
    extracted: int = 0
    filtered: int = 0
    deduplicated: int = 0
    bad_record_limit: int | None = None
    layout: TableLayout = TableLayout()
    replay: QuarantineSelection | None = None


@dataclass(frozen=True)
class PublishResult:
    """Counted in the warehouse inside the publish transaction, and kept in the load record.

    extracted = loaded + quarantined + deduplicated + filtered. `details` may tell more: `updated` (rows of the
    target that a merge replaced), `deleted`, `closed` (versions that ended), `unchanged`, `columns_added`,
    `columns_widened`.
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

    def quarantined(
        self, target: TargetTable, selection: QuarantineSelection, offset: int, limit: int
    ) -> QuarantinePage:
        """Quarantined rows, by quarantined_at and record_id, the latest first; none when there is no quarantine yet."""
        ...

    def export_quarantine(self, target: TargetTable, selection: QuarantineSelection, path: Path) -> int:
        """Write `record_id`, `object`, `stage`, `error_code`, `raw_row` and `raw_columns` of the selected rows to the
        Parquet file `path`, by record_id; the number of them. Without any, no file is written."""
        ...

    def discard_quarantined(self, target: TargetTable, selection: QuarantineSelection, by: str) -> int:
        """Give up the OPEN ones of the selected rows; how many were. Their rows stay on record as DISCARDED."""
        ...

    def cursor_state(self, pipeline_id: str, target: TargetTable) -> CursorState:
        """The pipeline's cursor and how it came about; an empty state when there is none or no table."""
        ...

    def set_cursor(
        self, pipeline_id: str, target: TargetTable, cursor: Cursor | None, *, by: str, version: str
    ) -> CursorState:
        """Set or reset the cursor in one transaction, keeping the value it replaces.

        Raises PreconditionFailed when its version is not `version` any more.
        """
        ...
