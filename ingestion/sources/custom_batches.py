"""Batches of a connector as files that the readers of files take: Parquet for Arrow, JSON lines for mappings."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.connectors import Rows
from ingestion.errors import ParseFailed
from ingestion.formats.reader import LocalFile

_FILE_ROWS = 200_000


class Batches:
    """The batches of one reading. `bytes_read` grows while the files are fetched."""

    def __init__(self, name: str, batches: Iterable[Rows], tick: Callable[[], None]) -> None:
        self._name = name
        self._batches = batches
        self._tick = tick
        self.bytes_read = 0

    def files(self) -> Iterator[LocalFile]:
        """A file for each run of batches of one kind, none of them large. Each is to be fetched before the next."""
        for kind, run in groupby(filter(len, self._ticking()), key=_kind):
            batches = iter(run)
            for first in batches:
                yield self._file(kind, _up_to(chain([first], batches)))

    def _ticking(self) -> Iterator[Rows]:
        for batch in self._batches:
            self._tick()
            yield batch

    def _file(self, kind: pa.Schema | None, batches: Iterable[Rows]) -> LocalFile:
        def fetch(path: Path) -> None:
            if kind is None:
                self._write_lines(path, batches)
            else:
                with pq.ParquetWriter(path, kind, compression="lz4") as writer:
                    for batch in batches:
                        writer.write_batch(batch)
            self.bytes_read += path.stat().st_size

        return LocalFile(f"{self._name}.{'ndjson' if kind is None else 'parquet'}", 0, fetch)

    def _write_lines(self, path: Path, batches: Iterable[Rows]) -> None:
        with path.open("w", encoding="utf-8") as out:
            for batch in batches:
                out.writelines(f"{_line(row, self._name)}\n" for row in batch)


def _up_to(batches: Iterable[Rows]) -> Iterator[Rows]:
    rows = 0
    for batch in batches:
        yield batch
        rows += len(batch)
        if rows >= _FILE_ROWS:
            return


def _kind(batch: Rows) -> pa.Schema | None:
    """The schema of a record batch, None for mappings."""
    return batch.schema if isinstance(batch, pa.RecordBatch) else None


def _line(row: Any, name: str) -> str:
    if not isinstance(row, Mapping):
        raise ParseFailed(f"'{name}': the connector gave a {type(row).__name__} as a row; rows are mappings")
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return _token(row)


def _token(value: Any) -> str:
    """The value as JSON, also where JSON itself has no form for it: then as the text that tells its type."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_token(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_token, value)) + "]"
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else json.dumps(str(value))
    if isinstance(value, datetime):
        return json.dumps((value.astimezone(UTC) if value.tzinfo else value).isoformat())
    if isinstance(value, date | time):
        return json.dumps(value.isoformat())
    if isinstance(value, bytes | bytearray | memoryview):
        return json.dumps(base64.b64encode(value).decode())
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(str(value))
    if value is None or isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False)
    raise ParseFailed(
        f"the connector gave a value of type {type(value).__name__}; known are None, bool, int, float, str, Decimal, "
        "date, time, datetime, bytes, lists and mappings"
    )
