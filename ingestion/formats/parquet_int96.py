"""The unit in which old Parquet timestamps (INT96) are read: they reach further than 64 bits of nanoseconds do.

Arrow reads INT96 as nanoseconds and wraps around beyond the years 1677 to 2262 without a word, so that
9999-12-31, which many systems write for "for ever", would become 1816-03-29.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.errors import SchemaMismatch
from ingestion.formats.engine import Tick

_BATCH_ROWS = 20_000
_NANOSECONDS_REACH = 2**63 // 10**9 - 1
_MICROSECONDS_REACH = 2**63 // 10**6 - 1


def int96_unit(path: Path, name: str, tick: Tick) -> str | None:
    """`us` when timestamps of the file are beyond nanoseconds; None when Arrow's own choice, `ns`, holds them all.

    Raises SchemaMismatch when microseconds hold them neither: too far away, or too fine.
    """
    with pq.ParquetFile(path) as file:
        if all(file.schema.column(index).physical_type != "INT96" for index in range(len(file.schema))):
            return None
        columns = [field.name for field in file.schema_arrow if _has_timestamps(field.type)]
    farthest = 0
    for array in _leaves(path, "s", columns, tick):
        if array.type.unit == "s":
            ends = pc.min_max(array.cast(pa.int64())).as_py()
            farthest = max(farthest, *(abs(end) for end in ends.values() if end is not None), 0)
    if farthest <= _NANOSECONDS_REACH:
        return None
    if farthest > _MICROSECONDS_REACH:
        raise SchemaMismatch(
            f"'{name}' has a timestamp beyond the years that microseconds reach; correct it at the source", object=name
        )
    _require_microseconds(path, name, columns, tick)
    return "us"


def _require_microseconds(path: Path, name: str, columns: Sequence[str], tick: Tick) -> None:
    finest, coarse = (_leaves(path, unit, columns, tick) for unit in ("ns", "us"))
    for nanos, micros in zip(finest, coarse, strict=True):
        if nanos.type.unit == micros.type.unit:
            continue  # Not INT96: the unit of other timestamps is their own.
        # Both sides wrap around alike, so that what differs is finer than a microsecond.
        whole = pc.multiply(micros.cast(pa.int64()), 1000)
        if pc.any(pc.not_equal(nanos.cast(pa.int64()), whole)).as_py():
            raise SchemaMismatch(
                f"'{name}' has timestamps finer than a microsecond and others beyond the years 1677 to 2262, which "
                f"no type holds together; write them as text or as microseconds",
                object=name,
            )


def _leaves(path: Path, unit: str, columns: Sequence[str], tick: Tick) -> Iterator[pa.Array]:
    with pq.ParquetFile(path, coerce_int96_timestamp_unit=unit) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns)):
            tick()
            for array in batch.columns:
                yield from _timestamps(array)


def _timestamps(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of timestamps in a column, however deep."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        yield array
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _timestamps(array.field(index))
    elif pa.types.is_map(kind):
        yield from _timestamps(array.keys)
        yield from _timestamps(array.items)
    elif pa.types.is_nested(kind):
        yield from _timestamps(array.flatten())


def _has_timestamps(kind: pa.DataType) -> bool:
    if pa.types.is_timestamp(kind):
        return True
    return any(_has_timestamps(kind.field(index).type) for index in range(kind.num_fields))
