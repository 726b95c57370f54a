"""ORC files, read by pyarrow a batch at a time and rewritten in the few types that targets have, without loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed, PartialFile, SchemaMismatch
from ingestion.formats.arrow_values import any_finer_than_microseconds, plan_for
from ingestion.formats.columns import Columns, Encoding, RawFile
from ingestion.formats.engine import Tick
from ingestion.formats.types import arrow_type

_BATCH_ROWS = 20_000
_MAGIC = b"ORC"
_NO_END = ("postscript", "too small", "footer", "Invalid ORC")
_BEYOND_NANOSECONDS = "out of range for nanosecond"


def stage_orc(path: Path, name: str, columns: Columns, raw: Path, tick: Tick) -> RawFile:
    """Rewrite the ORC file at `path` to `raw`.

    Raises PartialFile when its end is missing, ParseFailed when it cannot be read, SchemaMismatch for timestamps
    that no reader of Arrow can hold (before 1677 or after 2262).
    """
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
    if head != _MAGIC[: len(head)]:
        raise ParseFailed(f"'{name}' is no ORC file: it does not begin like one", object=name)
    try:
        return _Orc(path, name).rewrite(columns, raw, tick)
    except (OSError, pa.ArrowException) as error:
        raise _failure(error, name) from error


def _failure(error: Exception, name: str) -> PartialFile | ParseFailed | SchemaMismatch:
    message = str(error)
    if _BEYOND_NANOSECONDS in message:
        return SchemaMismatch(f"'{name}' has a timestamp beyond the years 1677 to 2262: {message}", object=name)
    if any(words in message for words in _NO_END):
        return PartialFile(f"'{name}' has no end as ORC files have: it was cut off ({message})", object=name)
    return ParseFailed(f"'{name}' cannot be read as ORC: {message}", object=name)


class _Orc:
    """An open ORC file, whose batches are read in a stream: a stripe may be larger than memory."""

    def __init__(self, path: Path, name: str) -> None:
        from pyarrow.dataset import OrcFileFormat
        from pyarrow.fs import LocalFileSystem
        from pyarrow.orc import ORCFile

        self._name = name
        self._fragment = OrcFileFormat().make_fragment(str(path), filesystem=LocalFileSystem())
        self._rows = ORCFile(path).nrows
        self._schema: pa.Schema = self._fragment.physical_schema

    def rewrite(self, columns: Columns, raw: Path, tick: Tick) -> RawFile:
        names = self._schema.names
        if len(set(names)) < len(names):
            raise SchemaMismatch(f"'{self._name}' has two columns of one name", object=self._name)
        found = columns.of_file(names)
        plans = [
            plan_for(column.name, field.type, partial(self._is_finer, field.name, tick))
            for column, field in zip(found, self._schema, strict=True)
        ]
        for column, plan in zip(found, plans, strict=True):
            column.natives.append(plan.field)
        out = pa.schema([(column.id, arrow_type(plan.field)) for column, plan in zip(found, plans, strict=True)])
        rows = 0
        with pq.ParquetWriter(raw, out, compression="lz4") as writer:
            for batch in self._batches(names):
                arrays = [plan.convert(batch.column(index)) for index, plan in enumerate(plans)]
                writer.write_batch(pa.record_batch(arrays, schema=out))
                rows += batch.num_rows
                tick()
        if rows != self._rows:
            raise PartialFile(f"'{self._name}' has {rows} rows, but its footer says {self._rows}", object=self._name)
        fields = {column.id: plan.field for column, plan in zip(found, plans, strict=True)}
        return RawFile(self._name, raw, Encoding.NATIVE, fields, rows)

    def _batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        batches: Iterator[pa.RecordBatch] = self._fragment.to_batches(
            columns=list(names), batch_size=_BATCH_ROWS, use_threads=False, batch_readahead=1, fragment_readahead=1
        )
        return batches

    def _is_finer(self, column: str, tick: Tick) -> bool:
        def arrays() -> Iterator[pa.Array]:
            for batch in self._batches([column]):
                tick()
                yield batch.column(0)

        return any_finer_than_microseconds(arrays())
