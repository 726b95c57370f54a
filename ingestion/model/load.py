"""`load_params`: how the rows meet the target table."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ingestion.model.base import StrictModel

MAX_CLUSTERING_FIELDS = 4


class WriteDisposition(StrEnum):
    """How the staged rows meet the target table. SCD2 keeps every version of a row, see HistoryColumns."""

    WRITE_TRUNCATE = "WRITE_TRUNCATE"
    WRITE_APPEND = "WRITE_APPEND"
    WRITE_EMPTY = "WRITE_EMPTY"
    MERGE = "MERGE"
    SCD2 = "SCD2"

    @property
    def needs_key(self) -> bool:
        """Whether something has to tell which rows are the same."""
        return self in (WriteDisposition.MERGE, WriteDisposition.SCD2)

    @property
    def follows_cursor(self) -> bool:
        """Whether rows are added to those that are there, so that an incremental read makes sense."""
        return self in (WriteDisposition.MERGE, WriteDisposition.WRITE_APPEND, WriteDisposition.SCD2)


class PartitionType(StrEnum):
    """How much time one partition of the target holds."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"


class ChangePolicy(StrEnum):
    """What a difference between the rows and the target's schema leads to.

    EVOLVE: the table changes, where nothing is lost by that. FREEZE: SCHEMA_MISMATCH, nothing is loaded.
    QUARANTINE: the rows that need the difference go to the quarantine, the others are loaded.
    """

    EVOLVE = "evolve"
    FREEZE = "freeze"
    QUARANTINE = "quarantine"


class SchemaPolicy(StrictModel):
    """`schema_policy`: `columns` for columns the target lacks, `types` for values its columns cannot hold."""

    columns: ChangePolicy | None = None
    types: ChangePolicy | None = None


def _check_column_name(name: str) -> str:
    if not name.strip() or name.lower().startswith("_ingestion"):
        raise ValueError(f"{name!r} is not a column name: names starting with _ingestion belong to the service")
    return name


ColumnName = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_check_column_name)]


class HistoryColumns(StrictModel):
    """`history_columns`: what SCD2 adds to each row. A version is valid from `valid_from` on until before
    `valid_to`, which is NULL while it is the current one (`is_current`)."""

    valid_from: ColumnName = "valid_from"
    valid_to: ColumnName = "valid_to"
    is_current: ColumnName = "is_current"

    @property
    def names(self) -> Sequence[str]:
        """The three names, in the order they have in the table."""
        return (self.valid_from, self.valid_to, self.is_current)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len({name.lower() for name in self.names}) != len(self.names):
            raise ValueError(f"needs three different names, not {', '.join(self.names)} (case does not count)")
        return self


class LoadParams(StrictModel):
    """`load_params`. Columns are named as in the target."""

    write_disposition: WriteDisposition | None = None
    merge_key: str | tuple[str, ...] | None = None
    partition_field: str | None = Field(default=None, min_length=1)
    partition_type: PartitionType | None = None
    clustering_fields: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=MAX_CLUSTERING_FIELDS)
    schema_policy: SchemaPolicy | None = None
    history_columns: HistoryColumns | None = None
    close_absent: bool | None = Field(
        default=None, description="SCD2 of a whole read: close the current version of keys that were not read."
    )
    max_bad_records: int | None = Field(default=None, ge=0)
    empty_source: Literal["fail", "allow"] | None = None
