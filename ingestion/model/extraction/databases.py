"""`extraction_params` of databases."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from ingestion.model.connections import CloudSqlConnection, ConnectionDetails
from ingestion.model.extraction.base import ExtractionParams, QueryText, as_columns
from ingestion.model.extraction.lookback import parse_span
from ingestion.model.problems import Problem

MAX_PARTITIONS = 32
_DEFAULT_PARTITIONS = 4


class NullCursor(StrEnum):
    """What becomes of rows whose `incremental_key` is NULL, or has no place in its order (NaN, infinite dates)."""

    READ = "read"
    SKIP = "skip"
    FAIL = "fail"


def _check_lookback(given: object) -> object:
    """One message for what is neither a number nor a span, in place of one for each kind it could have been."""
    if isinstance(given, str):
        parse_span(given)
    elif given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise ValueError(f"{given!r} is neither a whole number above 0 nor a span of time such as '2 hours'")
    return given


class DatabaseExtraction(ExtractionParams):
    """`extraction_params` for databases: a table or a read-only query.

    `lookback`: how far below the cursor a read begins, for rows that were committed late. A number is an amount
    in the key's own unit, seconds for dates and timestamps; a text ("2 hours") is a time. It never moves the
    cursor back.

    `deleted_column` marks rows that are deleted at the source: true, a number other than 0, or a date or
    timestamp that is not NULL. A connector reads such rows like all others and checks that the column can be a
    mark; what becomes of them is decided where rows meet the target, see `deletion_mark`.

    `partition_column`: the rows are read in `partitions` parts by ranges of that column, at once and in one
    snapshot; NULLs are a part of their own.
    """

    table: str | None = Field(default=None, min_length=1)
    query: QueryText | None = None
    incremental_key: str | None = Field(default=None, min_length=1)
    lookback: Annotated[int | str | None, BeforeValidator(_check_lookback)] = None
    null_cursor: NullCursor | None = None
    primary_key: str | tuple[str, ...] | None = None
    deleted_column: str | None = Field(default=None, min_length=1)
    partition_column: str | None = Field(default=None, min_length=1)
    partitions: int | None = Field(default=None, ge=2, le=MAX_PARTITIONS)
    statement_timeout_seconds: int | None = Field(default=None, ge=1)

    @property
    def cursor_column(self) -> str | None:
        """The column an incremental pipeline follows."""
        return self.incremental_key

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The declared primary key."""
        return as_columns(self.primary_key)

    @property
    def may_know_keys(self) -> bool:
        """A table may have a key of its own."""
        return self.table is not None

    @property
    def deletion_mark(self) -> str | None:
        """The column that marks rows deleted at the source."""
        return self.deleted_column

    @property
    def lookback_amount(self) -> int:
        """`lookback` as a number: seconds when it is a time or the key is one; 0 without."""
        return parse_span(self.lookback) if isinstance(self.lookback, str) else self.lookback or 0

    @property
    def lookback_is_time(self) -> bool:
        """Whether `lookback` only makes sense for keys that are dates or timestamps."""
        return isinstance(self.lookback, str)

    @property
    def null_cursor_policy(self) -> NullCursor:
        """`null_cursor`, or the default: such rows are read by every execution."""
        return self.null_cursor or NullCursor.READ

    @property
    def parts(self) -> int:
        """In how many ranges of `partition_column` the rows are read."""
        return 1 if self.partition_column is None else self.partitions or _DEFAULT_PARTITIONS

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source."""
        problems = []
        if (self.table is None) == (self.query is None):
            given = "neither" if self.table is None else "both"
            problems.append(Problem(prefix, f"exactly one of table and query is needed, but {given} given"))
        needs = {"lookback": "incremental_key", "null_cursor": "incremental_key", "partitions": "partition_column"}
        problems += [
            Problem(f"{prefix}.{name}", f"needs {other}, which is not given")
            for name, other in needs.items()
            if getattr(self, name) is not None and getattr(self, other) is None
        ]
        if isinstance(connection, CloudSqlConnection) and connection.lacks_region:
            message = f"the source's instance '{connection.instance_name}' cannot be found without its region"
            problems.append(Problem("source_id", message))
        return problems
