"""Reject files: rows that were read but could not be taken, each with its reason and its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.formats.staged import REJECT_COLUMNS, StagedFile, staged_file

_SHOWN_VALUE = 1_000
_SHOWN_IN_MESSAGE = 80
_SHOWN_REASONS = 3
_BATCH_ROWS = 5_000
_BATCH_CHARACTERS = 16 << 20
_SCHEMA = pa.schema([(name, pa.string()) for name in REJECT_COLUMNS])


@dataclass(frozen=True)
class Reject:
    """One rejected row, whole. `position` is "line 4", "row 4" or "element 4", counted from 1.

    The raw row is complete, so that it can be repaired and loaded later; `got` is shortened for people.
    `raw_columns` names the cells of a raw row that is text, as a JSON list.
    """

    object: str
    position: str
    error_code: str
    column_name: str | None
    expected: str | None
    got: str | None
    raw_row: str | None
    raw_columns: str | None = None


class RejectFile:
    """Collects rejects in one Parquet file that exists only when there are any."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Mapping[str, str | None]] = []
        self._writer: pq.ParquetWriter | None = None
        self._characters = 0
        self.count = 0

    def add(self, reject: Reject) -> None:
        """Keep one more."""
        raw = None if reject.raw_row is None else _storable(reject.raw_row)
        got = None if reject.got is None else _storable(reject.got[:_SHOWN_VALUE])
        self._rows.append(vars(reject) | {"stage": "extract", "raw_row": raw, "got": got})
        self._characters += len(raw or "")
        self.count += 1
        if len(self._rows) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def close(self) -> Sequence[StagedFile]:
        """The finished file, or none."""
        if self._rows:
            self._flush()
        if self._writer is None:
            return ()
        self._writer.close()
        return (staged_file(self._path, self.count),)

    def abandon(self) -> None:
        """Release the file without promising anything about it."""
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, _SCHEMA)
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
        self._rows, self._characters = [], 0


def _storable(text: str) -> str:
    """Text with lone surrogates (bytes that were not UTF-8) written as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def reasons_of(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """Why the rows of `relation` (with the columns of reject files) are bad, the most frequent reasons first.

    One line for people: a failed execution leaves no quarantine in which they could look.
    """
    found = connection.execute(
        f"""SELECT count(*) AS times, error_code, column_name,
                   first(object), first(position), first(expected), first(got)
        FROM {relation} GROUP BY error_code, column_name ORDER BY times DESC, error_code, column_name"""
    ).fetchall()
    shown = [_reason(*row) for row in found[:_SHOWN_REASONS]]
    more = len(found) - len(shown)
    return "; ".join([*shown, *([f"and {more} other reasons"] if more else [])])


def _reason(
    times: int, code: str, column: str | None, name: str | None, position: str, expected: str | None, got: str | None
) -> str:
    where = f"{position} of '{name}'" if name else position
    what = [
        *([f"expected {expected}"] if expected else []),
        *([f"got {_shortened(got)!r}"] if got else []),
    ]
    return f"{times} {code}{f' in {column}' if column else ''}, such as {where}" + (
        f" ({', '.join(what)})" if what else ""
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_IN_MESSAGE else f"{text[:_SHOWN_IN_MESSAGE]}..."
