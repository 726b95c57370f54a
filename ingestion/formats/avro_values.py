"""Decoded Avro columns in the types of their fields, exactly."""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.errors import ParseFailed
from ingestion.formats.avro_schema import Node, branch_of
from ingestion.formats.types import arrow_type

_EXACT = Context(prec=2_000)
_UNITS: Mapping[str, str] = {"millis": "ms", "micros": "us", "nanos": "ns"}


def column_of_values(node: Node, values: Sequence[Any]) -> pa.Array:
    """A column of decoded Python values."""
    if node.field is None:
        return pa.array([None if value is None else json_text(node, value) for value in values], pa.string())
    return converted(node, pa.array(values, node.physical))


def converted(node: Node, array: pa.Array) -> pa.Array:
    """A column of the physical type in the type of its field."""
    assert node.field is not None
    if node.kind == "array":
        return _converted_list(node, array)
    if node.parts is not None:
        return _converted_record(node, array)
    if node.logical is None:
        return array.cast(arrow_type(node.field))
    return _converted_logical(node, node.logical, array).cast(arrow_type(node.field))


def _converted_list(node: Node, array: pa.Array) -> pa.Array:
    assert node.parts is not None
    array = array.cast(pa.list_(array.type.value_type))
    if array.offset:
        array = pa.concat_arrays([array])
    return pa.ListArray.from_arrays(array.offsets, converted(node.parts[""], array.values), mask=array.is_null())


def _converted_record(node: Node, array: pa.Array) -> pa.Array:
    assert node.parts is not None
    members = [converted(part, member) for part, member in zip(node.parts.values(), array.flatten(), strict=True)]
    fields = [pa.field(name, member.type) for name, member in zip(node.parts, members, strict=True)]
    return pa.StructArray.from_arrays(members, fields=fields, mask=array.is_null())


def _converted_logical(node: Node, logical: str, array: pa.Array) -> pa.Array:
    if logical.startswith("decimal"):
        return _decimals(node, logical, array)
    if logical == "uuid":
        return array if node.kind == "string" else _each(array, lambda value: str(uuid.UUID(bytes=value)), pa.string())
    if logical == "date":
        return array.cast(pa.int32()).cast(pa.date32())
    unit = _UNITS[logical.rpartition("-")[2]]
    if logical.startswith("time-"):
        return _times(node, unit, array)
    zone = None if logical.startswith("local-") else "UTC"
    instants = array.cast(pa.timestamp(unit, tz=zone))
    return instants.cast(pa.string()) if unit == "ns" else instants


def _times(node: Node, unit: str, array: pa.Array) -> pa.Array:
    day = 86_400_000 if unit == "ms" else 86_400_000_000
    wrong = pc.filter(array, pc.or_(pc.less(array, 0), pc.greater_equal(array, day)))
    if len(wrong):
        assert node.field is not None
        raise ParseFailed(f"The column '{node.field.name}' has the time {wrong[0]} ({unit}), which is in no day")
    return array.cast(pa.int32()).cast(pa.time32("ms")) if unit == "ms" else array.cast(pa.time64("us"))


def _decimals(node: Node, logical: str, array: pa.Array) -> pa.Array:
    precision, scale = map(int, logical.split(":")[1:])
    assert node.field is not None
    numbers = [None if value is None else _decimal(value, scale) for value in array.to_pylist()]
    limit = Decimal(10) ** (precision - scale)
    if any(number is not None and abs(number) >= limit for number in numbers):
        raise ParseFailed(f"The column '{node.field.name}' has a number of more than its {precision} digits")
    if precision > 38:
        return pa.array([None if number is None else f"{number:f}" for number in numbers], pa.string())
    return pa.array(numbers, pa.decimal128(precision, scale))


def _decimal(value: bytes, scale: int) -> Decimal:
    return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)


def _each(array: pa.Array, convert: Callable[[Any], Any], kind: pa.DataType) -> pa.Array:
    return pa.array([None if value is None else convert(value) for value in array.to_pylist()], kind)


def json_text(node: Node, value: Any) -> str:
    """A value as JSON text: numbers as they are, bytes as base64, decimals, dates and times as strings."""
    return json.dumps(_json_value(node, value), ensure_ascii=False)


def _json_value(node: Node, value: Any) -> Any:
    if value is None:
        return None
    if node.kind == "union":
        return _json_value(branch_of(node, value), value)
    if node.kind == "array":
        inner = (node.parts or {})[""]
        return [_json_value(inner, item) for item in value]
    if node.kind == "map":
        inner = (node.parts or {})[""]
        return {key: _json_value(inner, item) for key, item in value.items()}
    if isinstance(value, dict):
        return {key: _json_member(node, key, item) for key, item in value.items()}
    if node.logical is not None:
        return _shown(column_of_values(node, [value])[0].as_py())
    return _shown(value)


def _json_member(node: Node, key: str, item: Any) -> Any:
    part = (node.parts or {}).get(key)
    return _plain(item) if part is None else _json_value(part, item)


def _plain(value: Any) -> Any:
    """A value inside of a record that holds itself, whose types are not followed."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _shown(value)


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
