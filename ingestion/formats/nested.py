"""Declared RECORD and REPEATED columns of JSON files: every leaf checked, so that the final cast cannot change it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import decimal_digits, type_label
from ingestion.model.schema import FieldMode, FieldType, SchemaField


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit: the path to it, what was declared, what is there."""

    path: str
    expected: str
    got: str


class _Misfitting(Exception):
    def __init__(self, misfit: Misfit) -> None:
        self.misfit = misfit


class _Number(str):
    """A JSON number as it was written."""


def is_nested(field: SchemaField) -> bool:
    """Whether the field holds more than one scalar."""
    return field.type is FieldType.RECORD or field.mode is FieldMode.REPEATED


def require_readable(field: SchemaField, is_inner: bool = False) -> None:
    """Refuse declared types that cannot be read exactly inside another. Raises SchemaMismatch."""
    is_inner = is_inner or field.mode is FieldMode.REPEATED
    if is_inner and field.type in (FieldType.BYTES, FieldType.JSON):
        raise SchemaMismatch(
            f"The column '{field.name}' is declared as {field.type} inside another, which is not read from JSON files"
        )
    for part in field.fields or ():
        require_readable(part, is_inner=True)


def checked_token(token: str, field: SchemaField) -> str | Misfit:
    """The JSON token with every leaf as text that casts exactly to its declared type; or what does not fit."""
    value = json.loads(token, parse_int=_Number, parse_float=_Number)
    try:
        return json.dumps(_checked(value, field, field.name), ensure_ascii=False)
    except _Misfitting as misfitting:
        return misfitting.misfit


def _checked(value: Any, field: SchemaField, path: str) -> Any:
    if field.mode is FieldMode.REPEATED:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _misfit(path, field, value)
        element = field.model_copy(update={"mode": FieldMode.NULLABLE})
        return [_checked(item, element, f"{path}[{position}]") for position, item in enumerate(value)]
    if value is None:
        if field.mode is FieldMode.REQUIRED:
            raise _misfit(path, field, value)
        return None
    if field.type is FieldType.RECORD:
        return _checked_record(value, field, path)
    leaf = _leaf(value, field)
    if leaf is None:
        raise _misfit(path, field, value)
    return leaf


def _checked_record(value: Any, field: SchemaField, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(path, field, value)
    parts = {part.name: part for part in field.fields or ()}
    unknown = [key for key in value if key not in parts]
    if unknown:
        raise _Misfitting(Misfit(f"{path}.{unknown[0]}", "no such field", json.dumps(value[unknown[0]])))
    return {name: _checked(value.get(name), part, f"{path}.{name}") for name, part in parts.items()}


def _misfit(path: str, field: SchemaField, value: Any) -> _Misfitting:
    expected = type_label(field) + (" REQUIRED" if field.mode is FieldMode.REQUIRED else "")
    return _Misfitting(Misfit(path, expected, json.dumps(value, ensure_ascii=False)))


def _leaf(value: Any, field: SchemaField) -> Any:
    """The value as text for the cast, a boolean as itself; None when it does not fit."""
    kind = field.type
    if kind is FieldType.BOOLEAN:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool | list | dict):
        return None
    text = str(value)
    if kind is FieldType.STRING:
        return text
    if kind in (FieldType.INTEGER, FieldType.FLOAT, FieldType.NUMERIC, FieldType.BIGNUMERIC):
        return _number(text, field)
    return _moment(text, kind)


# Decimal alone also takes underscores, other scripts' digits and NaN.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)


def _number(text: str, field: SchemaField) -> str | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if field.type is FieldType.FLOAT:
        return repr(float(number)) if abs(float(number)) != float("inf") else None
    precision, scale = (19, 0) if field.type is FieldType.INTEGER else decimal_digits(field)
    whole, fraction = _digits(number)
    if fraction > scale or whole > precision - scale:
        return None
    if field.type is FieldType.INTEGER and not -(2**63) <= int(number) < 2**63:
        return None
    return f"{number:f}"


def _digits(number: Decimal) -> tuple[int, int]:
    """How many digits are needed before and after the point. Decimal.normalize would round to 28 digits."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    kept = "".join(map(str, digits)).rstrip("0")
    if not kept:
        return 0, 0
    exponent += len(digits) - len(kept)
    return len(kept) + exponent, -exponent


# Python's fromisoformat takes more, and drops what it does not understand: 20240101.5, a seventh digit of a second.
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(:\d\d([.,]\d{1,6})?)?"
_MOMENTS = {
    FieldType.DATE: re.compile(_DAY, re.ASCII),
    FieldType.TIME: re.compile(_CLOCK, re.ASCII),
    FieldType.DATETIME: re.compile(rf"{_DAY}([T ]{_CLOCK})?", re.ASCII),
    FieldType.TIMESTAMP: re.compile(rf"{_DAY}([T ]{_CLOCK}(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII),
}


def _moment(text: str, kind: FieldType) -> str | None:
    if not _MOMENTS[kind].fullmatch(text):
        return None
    try:
        if kind is FieldType.DATE:
            return date.fromisoformat(text).isoformat()
        if kind is FieldType.TIME:
            return time.fromisoformat(text).isoformat()
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if kind is FieldType.DATETIME or instant.tzinfo is not None:
        return instant.isoformat()
    return f"{instant.isoformat()}+00:00"
