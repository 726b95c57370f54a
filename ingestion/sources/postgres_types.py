"""How each PostgreSQL type is read: the expression the server computes, and the field its text becomes.

Everything is read as the server's own text form, so no driver can change a value. What a field cannot hold
(infinite dates, NaN in a decimal, 24:00) does not cast and is rejected with its row.

    boolean, integers, oid          BOOLEAN, INTEGER
    real, double precision          FLOAT (real widened by the server, NaN and infinities kept)
    numeric(p, s) up to 38 digits   NUMERIC or BIGNUMERIC of that precision
    numeric without precision       NUMERIC, or BIGNUMERIC, if all values fit exactly, else STRING
    date, timestamp, timestamptz    DATE, DATETIME, TIMESTAMP
    time                            TIME
    bytea                           BYTES
    json, jsonb                     JSON
    arrays, composites              JSON
    all others                      STRING: text, uuid, enum, money, interval, timetz, inet, ranges, bit, xml...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.formats.types import numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField
from ingestion.sources.database_staging import StagedColumn

_TYPMOD_OFFSET = 4
_MAX_DIGITS = 38
_BY_NAME: Mapping[str, FieldType] = {
    "bool": FieldType.BOOLEAN,
    "int2": FieldType.INTEGER,
    "int4": FieldType.INTEGER,
    "int8": FieldType.INTEGER,
    "oid": FieldType.INTEGER,
    "float4": FieldType.FLOAT,
    "float8": FieldType.FLOAT,
    "numeric": FieldType.NUMERIC,
    "date": FieldType.DATE,
    "timestamp": FieldType.DATETIME,
    "timestamptz": FieldType.TIMESTAMP,
    "time": FieldType.TIME,
    "bytea": FieldType.BYTES,
    "json": FieldType.JSON,
    "jsonb": FieldType.JSON,
}
_TEMPORAL = frozenset({"date", "timestamp", "timestamptz"})
_NUMBERS = frozenset({"int2", "int4", "int8", "oid", "numeric", "float4", "float8"})
_MARKS = _TEMPORAL | _NUMBERS | {"bool"}
_WITH_NAN = frozenset({"numeric", "float4", "float8"})


@dataclass(frozen=True)
class PostgresType:
    """A column's type as the server describes it. `kind` is pg_type.typtype, `name` the internal name."""

    name: str
    kind: str
    is_array: bool
    modifier: int
    label: str

    @property
    def is_temporal(self) -> bool:
        """Whether values lie on the calendar, so that dates can bound them."""
        return self.name in _TEMPORAL and not self.is_array

    @property
    def is_number(self) -> bool:
        """Whether values can be added to."""
        return self.name in _NUMBERS and not self.is_array

    @property
    def can_mark_deletion(self) -> bool:
        """Whether a column of the type can say that its row is deleted."""
        return self.name in _MARKS and not self.is_array

    def ordinary(self, column: str) -> str | None:
        """SQL for "this value has a place in the order": not infinite, not NaN. None when all values have."""
        if self.is_temporal:
            return f"isfinite({column})"
        # NaN and infinities less themselves are NaN, on every version of the server.
        return f"{column} - {column} = 0" if self.name in _WITH_NAN else None


@dataclass(frozen=True)
class ReadColumn:
    """A column to read: `expression` is computed by the server, `staged` is what its text becomes."""

    name: str
    type: PostgresType
    expression: str
    staged: StagedColumn


def read_column(
    name: str, column: str, kind: PostgresType, mode: FieldMode = FieldMode.NULLABLE, description: str | None = None
) -> ReadColumn:
    """How the SQL expression `column` of that type is read as the field `name`."""
    field = _field(name, kind)
    known = field or SchemaField(name=name, type=FieldType.STRING)
    staged = StagedColumn(known.model_copy(update={"mode": mode, "description": description}), field is None)
    return ReadColumn(name, kind, _expression(column, kind), staged)


def _expression(column: str, kind: PostgresType) -> str:
    if kind.is_array or kind.kind == "c" or kind.name == "record":
        return f"to_json({column})"
    if kind.name == "float4":
        return f"{column}::float8"
    if kind.name == "bytea":
        return f"replace(encode({column}, 'base64'), E'\\n', '')"
    return column


def _field(name: str, kind: PostgresType) -> SchemaField | None:
    if kind.is_array or kind.kind == "c" or kind.name == "record":
        return SchemaField(name=name, type=FieldType.JSON)
    if kind.name == "numeric":
        return _decimal(name, kind.modifier)
    return SchemaField(name=name, type=_BY_NAME.get(kind.name, FieldType.STRING))


def _decimal(name: str, modifier: int) -> SchemaField | None:
    if modifier < _TYPMOD_OFFSET:
        return None
    packed = modifier - _TYPMOD_OFFSET
    precision, scale = packed >> 16, packed & 0x7FF
    if scale >= 1024:
        scale -= 2048  # Eleven bits, two's complement: numeric(10, -2) rounds to hundreds.
    precision, scale = max(precision - min(scale, 0), scale), max(scale, 0)
    if precision > _MAX_DIGITS:
        return SchemaField(name=name, type=FieldType.STRING)
    return numeric_field(name, precision, scale)
