"""Parquet files, read by pyarrow and rewritten in the few types that targets have, without loss."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed, PartialFile
from ingestion.formats.arrow_values import any_finer_than_microseconds, plan_for
from ingestion.formats.columns import Columns, Encoding, RawFile
from ingestion.formats.engine import Tick
from ingestion.formats.parquet_int96 import int96_unit
from ingestion.formats.types import arrow_type

_BATCH_ROWS = 20_000


def stage_parquet(path: Path, name: str, columns: Columns, raw: Path, tick: Tick) -> RawFile:
    """Rewrite the Parquet file at `path` to `raw`.

    Raises PartialFile when its footer is missing, ParseFailed when it cannot be read, SchemaMismatch for a
    column of a type that no target has (durations) and for INT96 timestamps that microseconds do not hold.
    """
    try:
        unit = int96_unit(path, name, tick)
        # The checksums are optional: where a writer has put them, a changed bit is found that would pass as a value.
        with pq.ParquetFile(
            path,
            arrow_extensions_enabled=True,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=unit,
        ) as file:
            return _rewrite(file, name, columns, raw, tick)
    except pa.ArrowInvalid as error:
        if "magic bytes" in str(error) or "footer" in str(error) or "size is 0" in str(error):
            raise PartialFile(
                f"'{name}' has no Parquet footer: it ends too early or is no Parquet", object=name
            ) from error
        raise ParseFailed(f"'{name}' cannot be read as Parquet: {error}", object=name) from error
    except (OSError, pa.ArrowException) as error:
        raise ParseFailed(f"'{name}' cannot be read as Parquet: {error}", object=name) from error


def _rewrite(file: pq.ParquetFile, name: str, columns: Columns, raw: Path, tick: Tick) -> RawFile:
    schema: pa.Schema = file.schema_arrow
    found = columns.of_file(schema.names)
    plans = [
        plan_for(column.name, schema.field(index).type, partial(_is_finer, file, index))
        for index, column in enumerate(found)
    ]
    for column, plan in zip(found, plans, strict=True):
        column.natives.append(plan.field)
    out = pa.schema([(column.id, arrow_type(plan.field)) for column, plan in zip(found, plans, strict=True)])
    rows = 0
    with pq.ParquetWriter(raw, out, compression="lz4") as writer:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            arrays = [plan.convert(batch.column(index)) for index, plan in enumerate(plans)]
            writer.write_batch(pa.record_batch(arrays, schema=out))
            rows += batch.num_rows
            tick()
    fields = {column.id: plan.field for column, plan in zip(found, plans, strict=True)}
    return RawFile(name, raw, Encoding.NATIVE, fields, rows)


def _is_finer(file: pq.ParquetFile, index: int) -> bool:
    name = file.schema_arrow.names[index]
    batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=[name])
    return any_finer_than_microseconds(batch.column(0) for batch in batches)
