"""Arrow columns of files that have types of their own, in the few types that targets have, without loss."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import arrow_type, numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_MICROSECOND = 1_000

Conversion = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Plan:
    """The field that a column becomes, and how its values get there."""

    field: SchemaField
    convert: Conversion


def plan_for(name: str, kind: pa.DataType, is_finer: Callable[[], bool]) -> Plan:
    """How a column of that type is taken over. `is_finer` looks for values finer than a microsecond.

    Raises SchemaMismatch for a type that no target has (durations).
    """
    if isinstance(kind, pa.DictionaryType):
        inner = plan_for(name, kind.value_type, is_finer)
        return Plan(inner.field, lambda array: inner.convert(array.cast(kind.value_type)))
    if pa.types.is_timestamp(kind) and kind.unit == "ns" and is_finer():
        return _as_text(name)
    if pa.types.is_time64(kind) and kind.unit == "ns" and is_finer():
        return _as_text(name)
    if pa.types.is_decimal(kind) and kind.precision - min(kind.scale, 0) > 38:
        return _as_text(name)
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise SchemaMismatch(f"The column '{name}' has the type {kind}, which cannot be kept")
    field = field_of_arrow(name, kind)
    if field is None:
        return Plan(SchemaField(name=name, type=FieldType.JSON), to_json)
    if isinstance(kind, pa.BaseExtensionType) and field.type is FieldType.STRING:
        return Plan(field, _to_text)
    target = arrow_type(field)
    if isinstance(kind, pa.BaseExtensionType):
        return Plan(field, lambda array: array.storage.cast(target))
    return Plan(field, lambda array: array.cast(target))


def any_finer_than_microseconds(arrays: Iterable[pa.Array]) -> bool:
    """Whether any value is finer than a microsecond, which no target keeps."""
    for array in arrays:
        numbers = array.cast(pa.int64()).drop_null()
        whole = pc.multiply(pc.divide(numbers, _MICROSECOND), _MICROSECOND)
        if pc.any(pc.not_equal(numbers, whole)).as_py():
            return True
    return False


def field_of_arrow(name: str, kind: pa.DataType) -> SchemaField | None:
    """The field of a type that casts to ours without loss; None when only JSON can show it."""
    if pa.types.is_struct(kind):
        parts = [field_of_arrow(part.name, part.type) if part.name else None for part in kind]
        lowered = {part.name.lower() for part in kind}
        if not parts or None in parts or len(lowered) < len(parts):
            return None
        return SchemaField(name=name, type=FieldType.RECORD, fields=tuple(part for part in parts if part))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = field_of_arrow(name, kind.value_type)
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


def _as_text(name: str) -> Plan:
    return Plan(SchemaField(name=name, type=FieldType.STRING), lambda array: array.cast(pa.string()))


def _to_text(array: pa.Array) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())


def to_json(array: pa.Array) -> pa.Array:
    """Values as JSON text: decimals, dates, times and numbers that are none as strings, bytes as base64.

    Maps are arrays of pairs.
    """
    return pa.array([None if value is None else _json_text(value) for value in array.to_pylist()], pa.string())


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value, default=_json_leaf, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), default=_json_leaf, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON does not have, as text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _json_leaf(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
