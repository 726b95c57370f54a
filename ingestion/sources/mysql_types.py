"""How each MySQL and MariaDB type is read: the CSV text the server makes of it, and the field the text becomes.

The server writes each row as one line of CSV, so that no driver can change a value. What a field cannot hold
(zero-dates, days that do not exist) does not parse and is rejected with its row.

    tinyint, smallint, mediumint, int, bigint   INTEGER (tinyint(1) and boolean too: MySQL has no booleans)
    bigint unsigned, bit(64)                    NUMERIC(20, 0)
    bit(1) to bit(63), year                     INTEGER
    float, double                               FLOAT (float with all of its digits)
    decimal(p, s) up to 38 digits               NUMERIC or BIGNUMERIC of that precision
    decimal of more digits                      STRING
    date, datetime, timestamp                   DATE, DATETIME, TIMESTAMP (UTC)
    time                                        TIME, or STRING if a value is negative or 24 hours or more
    binary, varbinary, blob                     BYTES
    json                                        JSON
    geometry                                    STRING: well-known text, without its SRID
    all others                                  STRING: char, varchar, text, enum, set, uuid, inet6...
"""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from MySQLdb.constants import FIELD_TYPE, FLAG

from ingestion.formats.types import numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField
from ingestion.sources.mysql_connection import Field

_MAX_DIGITS = 38
_INTEGER_BITS = 63
_INTEGERS = frozenset(
    {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR}
)
_DECIMALS = frozenset({FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL})
_FLOATS = frozenset({FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE})
_BY_KIND: Mapping[int, FieldType] = {
    **dict.fromkeys(_INTEGERS, FieldType.INTEGER),
    **dict.fromkeys(_FLOATS, FieldType.FLOAT),
    FIELD_TYPE.DATE: FieldType.DATE,
    FIELD_TYPE.DATETIME: FieldType.DATETIME,
    FIELD_TYPE.TIMESTAMP: FieldType.TIMESTAMP,
    FIELD_TYPE.TIME: FieldType.TIME,
    FIELD_TYPE.JSON: FieldType.JSON,
    FIELD_TYPE.GEOMETRY: FieldType.STRING,
}
_TEMPORAL = (FieldType.DATE, FieldType.DATETIME, FieldType.TIMESTAMP)
_NUMBERS = (FieldType.INTEGER, FieldType.NUMERIC, FieldType.BIGNUMERIC, FieldType.FLOAT)
_CASTS: Mapping[FieldType, str] = {
    FieldType.INTEGER: "CAST({} AS SIGNED)",
    FieldType.FLOAT: "({} + 0e0)",
    FieldType.DATE: "CAST({} AS DATE)",
    FieldType.DATETIME: "CAST({} AS DATETIME(6))",
    FieldType.TIMESTAMP: "CAST({} AS DATETIME(6))",
}
# The year 0 has no place in the targets' calendars, and Arrow would take it for 1 BC.
_NO_YEAR = "0001-01-01"


# Begins a large cell. No text holds it: it is of this process, and random.
_MARK = f"\x01{secrets.token_hex(8)}"
_TEXT_MARK, _BYTES_MARK, _MARK_END = f"{_MARK}T", f"{_MARK}B", "\x01"
_MARK_BYTES = _MARK.encode()
_MARKED = re.compile(re.escape(_MARK_BYTES) + rb"([TB])([^\x01]*)\x01")
_LARGE = 4096


@dataclass(frozen=True)
class ReadColumn:
    """A column to read: `column` is its SQL name, `expression` the CSV cell that the server makes of it."""

    column: str
    kind: int
    decimals: int
    expression: str
    field: SchemaField

    @property
    def name(self) -> str:
        """As it is called in the target."""
        return self.field.name

    @property
    def is_temporal(self) -> bool:
        """Whether values lie on the calendar, so that dates can bound them."""
        return self.field.type in _TEMPORAL

    @property
    def is_number(self) -> bool:
        """Whether values can be added to."""
        return self.kind in _DECIMALS or self.field.type in _NUMBERS

    @property
    def has_order(self) -> bool:
        """Whether a read can follow the column: its order is that of the values as text or number."""
        return self.field.type not in (FieldType.BYTES, FieldType.JSON) and self.kind != FIELD_TYPE.GEOMETRY

    @property
    def ordinary(self) -> str | None:
        """SQL for "this value has a place in the order": no zero-date. None when all values have."""
        return f"{self.column} >= '{_NO_YEAR}'" if self.is_temporal else None

    def text(self, value: str) -> str:
        """SQL for the text of a value of the column, from which `value` makes the value again."""
        number = {FIELD_TYPE.FLOAT: f"({value} + 0e0)", FIELD_TYPE.BIT: f"({value} + 0)"}.get(self.kind, value)
        return f"CAST({number} AS CHAR)"

    def value(self, literal: str) -> str:
        """SQL for a value given as a text literal: numbers compare as numbers, dates as dates."""
        if self.kind in _DECIMALS or self.field.type is FieldType.NUMERIC:
            return f"CAST({literal} AS DECIMAL(65, {self.decimals}))"
        return _CASTS.get(self.field.type, "{}").format(literal)


def read_column(
    name: str,
    described: Field,
    *,
    description: str | None = None,
    is_json: bool = False,
    is_duration: bool = False,
) -> ReadColumn:
    """How a column is read as the field `name`. `is_duration`: its times are no times of a day."""
    column = identifier(described.name)
    field = _field(name, described, is_json, is_duration)
    mode = FieldMode.NULLABLE if described.is_nullable else FieldMode.REQUIRED
    cell = _cell(column, described, field)
    if described.is_nullable:
        cell = f"CASE WHEN {column} IS NULL THEN '' ELSE {cell} END"
    told = {"mode": mode, "description": description}
    return ReadColumn(column, described.kind, described.decimals, cell, field.model_copy(update=told))


def identifier(name: str) -> str:
    """A name as SQL."""
    return "`" + name.replace("`", "``") + "`"


def _cell(column: str, described: Field, field: SchemaField) -> str:
    if field.type is FieldType.BYTES:
        # In quotes, for an empty one is not NULL.
        small = f"""CONCAT('"', REPLACE(TO_BASE64({column}), '\n', ''), '"')"""
        return _unless_large(column, described, small, _BYTES_MARK, column)
    if described.kind == FIELD_TYPE.GEOMETRY:
        return f"""CONCAT('"', ST_AsText({column}), '"')"""
    if described.kind == FIELD_TYPE.BIT:
        return f"({column} + 0)"
    if described.kind == FIELD_TYPE.FLOAT:
        return f"({column} + 0e0)"
    if field.type in _TEMPORAL:
        text = f"CONCAT({column}, 'Z')" if field.type is FieldType.TIMESTAMP else column
        return f"IF({column} < '{_NO_YEAR}', CONCAT({column}, ' (year 0)'), {text})"
    if field.type in (FieldType.STRING, FieldType.JSON) and described.kind not in _DECIMALS:
        text = f"CONVERT({column} USING utf8mb4)"
        small = f"""CONCAT('"', REPLACE({text}, '"', '""'), '"')"""
        return _unless_large(column, described, small, _TEXT_MARK, text)
    return column


def _unless_large(column: str, described: Field, small: str, mark: str, value: str) -> str:
    """SQL for a cell that comes under a mark when it is large: REPLACE takes the square of the number of its finds."""
    if 0 <= described.length <= _LARGE:
        return small
    return f"IF(LENGTH({column}) > {_LARGE}, CONCAT('{mark}', TO_BASE64({value}), '{_MARK_END}'), {small})"


def may_be_marked(columns: Sequence[ReadColumn]) -> bool:
    """Whether lines of these columns have to go through `unmarked`."""
    return any(_TEXT_MARK in column.expression or _BYTES_MARK in column.expression for column in columns)


def unmarked(line: bytes) -> bytes:
    """The line with its large cells written like all others."""
    return _MARKED.sub(_cell_of, line) if _MARK_BYTES in line else line


def _cell_of(match: re.Match[bytes]) -> bytes:
    if match[1] == b"B":
        return b'"' + match[2].replace(b"\n", b"") + b'"'
    return b'"' + binascii.a2b_base64(match[2]).replace(b'"', b'""') + b'"'


def _field(name: str, described: Field, is_json: bool, is_duration: bool) -> SchemaField:
    if described.kind in _DECIMALS:
        return _decimal(name, described)
    if described.kind == FIELD_TYPE.BIT:
        kind = FieldType.INTEGER if described.length <= _INTEGER_BITS else None
    elif described.kind == FIELD_TYPE.LONGLONG and described.flags & FLAG.UNSIGNED:
        kind = None
    elif described.kind == FIELD_TYPE.TIME and is_duration:
        kind = FieldType.STRING
    elif described.kind in _BY_KIND:
        kind = _BY_KIND[described.kind]
    else:
        is_bytes = described.is_binary and described.length != 0  # A bare NULL is neither.
        kind = FieldType.JSON if is_json else FieldType.BYTES if is_bytes else FieldType.STRING
    return numeric_field(name, 20, 0) if kind is None else SchemaField(name=name, type=kind)


def _decimal(name: str, described: Field) -> SchemaField:
    signs = (0 if described.flags & FLAG.UNSIGNED else 1) + (1 if described.decimals else 0)
    precision = max(described.length - signs, described.decimals, 1)
    if precision > _MAX_DIGITS:
        return SchemaField(name=name, type=FieldType.STRING)
    return numeric_field(name, precision, described.decimals)
