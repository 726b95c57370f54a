"""Parquet files, read by pyarrow and rewritten in the few types that targets have, without loss."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed, PartialFile, SchemaMismatch
from ingestion.formats.columns import Columns, Encoding, RawFile
from ingestion.formats.engine import Tick
from ingestion.formats.types import arrow_type, numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_BATCH_ROWS = 20_000
_MICROSECOND = 1_000

Conversion = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class _Plan:
    field: SchemaField
    convert: Conversion


def stage_parquet(path: Path, name: str, columns: Columns, raw: Path, tick: Tick) -> RawFile:
    """Rewrite the Parquet file at `path` to `raw`.

    Raises PartialFile when its footer is missing, ParseFailed when it cannot be read, SchemaMismatch for a
    column of a type that no target has (durations).
    """
    try:
        with pq.ParquetFile(path, arrow_extensions_enabled=True) as file:
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
    plans = [_plan(column.name, schema.field(index).type, file, index) for index, column in enumerate(found)]
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


def _plan(name: str, kind: pa.DataType, file: pq.ParquetFile, index: int) -> _Plan:
    if isinstance(kind, pa.DictionaryType):
        inner = _plan(name, kind.value_type, file, index)
        return _Plan(inner.field, lambda array: inner.convert(array.cast(kind.value_type)))
    if pa.types.is_timestamp(kind) and kind.unit == "ns" and _has_nanoseconds(file, index):
        return _as_text(name)
    if pa.types.is_time64(kind) and kind.unit == "ns" and _has_nanoseconds(file, index):
        return _as_text(name)
    if pa.types.is_decimal(kind) and kind.precision - min(kind.scale, 0) > 38:
        return _as_text(name)
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise SchemaMismatch(f"The column '{name}' has the type {kind}, which cannot be kept")
    field = _field(name, kind)
    if field is None:
        return _Plan(SchemaField(name=name, type=FieldType.JSON), _to_json)
    if isinstance(kind, pa.BaseExtensionType) and field.type is FieldType.STRING:
        return _Plan(field, _to_text)
    target = arrow_type(field)
    if isinstance(kind, pa.BaseExtensionType):
        return _Plan(field, lambda array: array.storage.cast(target))
    return _Plan(field, lambda array: array.cast(target))


def _has_nanoseconds(file: pq.ParquetFile, index: int) -> bool:
    """Whether any value is finer than a microsecond, which no target keeps."""
    name = file.schema_arrow.names[index]
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[name]):
        numbers = batch.column(0).cast(pa.int64()).drop_null()
        whole = pc.multiply(pc.divide(numbers, _MICROSECOND), _MICROSECOND)
        if pc.any(pc.not_equal(numbers, whole)).as_py():
            return True
    return False


def _field(name: str, kind: pa.DataType) -> SchemaField | None:
    """The field of a type that casts to ours without loss; None when only JSON can show it."""
    if pa.types.is_struct(kind):
        parts = [_field(part.name, part.type) if part.name else None for part in kind]
        lowered = {part.name.lower() for part in kind}
        if not parts or None in parts or len(lowered) < len(parts):
            return None
        return SchemaField(name=name, type=FieldType.RECORD, fields=tuple(part for part in parts if part))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = _field(name, kind.value_type)
        if element is None or element.mode is FieldMode.REPEATED:
            return None
        return element.model_copy(update={"mode": FieldMode.REPEATED})
    return _scalar_field(name, kind)


def _scalar_field(name: str, kind: pa.DataType) -> SchemaField | None:
    if isinstance(kind, pa.UuidType):
        return SchemaField(name=name, type=FieldType.STRING)
    if isinstance(kind, pa.JsonType):
        return SchemaField(name=name, type=FieldType.JSON)
    if pa.types.is_decimal(kind):
        precision, scale = kind.precision - min(kind.scale, 0), max(kind.scale, 0)
        return numeric_field(name, precision, scale) if precision <= 38 else None
    if pa.types.is_uint64(kind):
        return numeric_field(name, 20, 0)
    for is_kind, told in _SCALARS:
        if is_kind(kind):
            return SchemaField(name=name, type=told)
    if pa.types.is_timestamp(kind):
        return SchemaField(name=name, type=FieldType.TIMESTAMP if kind.tz else FieldType.DATETIME)
    return None


_SCALARS: Sequence[tuple[Callable[[pa.DataType], bool], FieldType]] = (
    (pa.types.is_boolean, FieldType.BOOLEAN),
    (pa.types.is_integer, FieldType.INTEGER),
    (pa.types.is_floating, FieldType.FLOAT),
    (pa.types.is_string, FieldType.STRING),
    (pa.types.is_large_string, FieldType.STRING),
    (pa.types.is_string_view, FieldType.STRING),
    (pa.types.is_null, FieldType.STRING),
    (pa.types.is_binary, FieldType.BYTES),
    (pa.types.is_large_binary, FieldType.BYTES),
    (pa.types.is_binary_view, FieldType.BYTES),
    (pa.types.is_fixed_size_binary, FieldType.BYTES),
    (pa.types.is_date, FieldType.DATE),
    (pa.types.is_time, FieldType.TIME),
)


def _as_text(name: str) -> _Plan:
    return _Plan(SchemaField(name=name, type=FieldType.STRING), lambda array: array.cast(pa.string()))


def _to_text(array: pa.Array) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())


def _to_json(array: pa.Array) -> pa.Array:
    """Values as JSON text: decimals, dates and times as strings, bytes as base64, maps as arrays of pairs."""
    texts = (
        None if value is None else json.dumps(value, default=_json_leaf, ensure_ascii=False)
        for value in array.to_pylist()
    )
    return pa.array(texts, pa.string())


def _json_leaf(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
