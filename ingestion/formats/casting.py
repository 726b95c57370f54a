"""SQL that turns text into a typed value without ever changing it: what does not fit is NULL, never near enough.

DuckDB's own casts round decimals, drop the time of day and accept `1_000`; each expression here first
checks the form of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ingestion.formats.types import decimal_digits, duckdb_type, literal
from ingestion.model.schema import FieldType, SchemaField

_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_CLOCK = r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6}0*)?)?"
_ZONE = r"\s?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
DATE_FORM = rf"{_DAY}([T ]00:00(:00(\.0+)?)?)?"
DATETIME_FORM = rf"{_DAY}([T ]{_CLOCK})?"
INSTANT_FORM = rf"{_DAY}[T ]{_CLOCK}{_ZONE}"
TIME_FORM = _CLOCK
INTEGER_FORM = r"[+-]?\d+(\.0*)?"
DECIMAL_FORM = r"[+-]?(\d+\.?\d*|\.\d+)"
EXPONENT_FORM = r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,2}"
FLOAT_FORM = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
NOT_FINITE_FORM = r"[+-]?(nan|inf|infinity)"


@dataclass(frozen=True)
class Formats:
    """How dates and timestamps are written when not as ISO 8601: `%d/%m/%Y` and its like."""

    date: str | None = None
    timestamp: str | None = None

    @property
    def timestamp_has_zone(self) -> bool:
        """Whether the timestamp format names a zone, so that its values are instants."""
        return self.timestamp is not None and "%z" in self.timestamp.lower()


ISO = Formats()


def matches(text: str, form: str, options: str = "") -> str:
    """SQL: whether the whole of `text` has the form."""
    return f"regexp_full_match({text}, {literal(form)}{f', {literal(options)}' if options else ''})"


def cast(text: str, field: SchemaField, formats: Formats = ISO) -> str:
    """SQL for the value of the VARCHAR expression `text` as `field`'s scalar type; NULL when it does not fit."""
    return _CASTS[field.type](text, field, formats)


def _string(text: str, field: SchemaField, formats: Formats) -> str:
    return text


def _integer(text: str, field: SchemaField, formats: Formats) -> str:
    plain = f"TRY_CAST({text} AS BIGINT)"
    written_otherwise = f"TRY_CAST(regexp_replace(trim({text}), '\\.0*$', '') AS BIGINT)"
    return (
        f"CASE WHEN CAST({plain} AS VARCHAR) = {text} THEN {plain} "
        f"WHEN {matches(f'trim({text})', INTEGER_FORM)} THEN {written_otherwise} END"
    )


def _float(text: str, field: SchemaField, formats: Formats) -> str:
    number = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CASE WHEN {matches(f'trim({text})', FLOAT_FORM)} THEN (CASE WHEN isfinite({number}) THEN {number} END) "
        f"WHEN {matches(f'trim({text})', NOT_FINITE_FORM, 'i')} THEN {number} END"
    )


def _numeric(text: str, field: SchemaField, formats: Formats) -> str:
    scale = decimal_digits(field)[1]
    number = f"TRY_CAST(trim({text}) AS {duckdb_type(field)})"
    fraction = f"length(regexp_extract(trim({text}), '\\.(\\d*?)0*$', 1))"
    # An exponent form is taken when it is the same number before and after: at most 15 digits, so doubles can tell.
    same = f"CAST({number} AS DOUBLE) = TRY_CAST({text} AS DOUBLE) AND length({text}) <= 15"
    return (
        f"CASE WHEN {matches(f'trim({text})', DECIMAL_FORM)} "
        f"THEN (CASE WHEN {fraction} <= {scale} THEN {number} END) "
        f"WHEN {matches(f'trim({text})', EXPONENT_FORM)} AND {same} THEN {number} END"
    )


def _boolean(text: str, field: SchemaField, formats: Formats) -> str:
    lowered = f"lower(trim({text}))"
    return (
        f"CASE WHEN {lowered} IN ('true', 't', 'yes', 'y', '1') THEN true "
        f"WHEN {lowered} IN ('false', 'f', 'no', 'n', '0') THEN false END"
    )


def _date(text: str, field: SchemaField, formats: Formats) -> str:
    if formats.date:
        return f"CAST(try_strptime({text}, {literal(formats.date)}) AS DATE)"
    return f"CASE WHEN {matches(f'trim({text})', DATE_FORM)} THEN TRY_CAST({text} AS DATE) END"


def _datetime(text: str, field: SchemaField, formats: Formats) -> str:
    if formats.timestamp:
        parsed = f"try_strptime({text}, {literal(formats.timestamp)})"
        return f"CAST({parsed} AT TIME ZONE 'UTC' AS TIMESTAMP)" if formats.timestamp_has_zone else parsed
    return f"CASE WHEN {matches(f'trim({text})', DATETIME_FORM)} THEN TRY_CAST({text} AS TIMESTAMP) END"


def _timestamp(text: str, field: SchemaField, formats: Formats) -> str:
    if formats.timestamp:
        parsed = f"try_strptime({text}, {literal(formats.timestamp)})"
        return parsed if formats.timestamp_has_zone else f"{parsed} AT TIME ZONE 'UTC'"
    # DuckDB knows +HH:MM but not +HH alone, and no lower-case z.
    zoned = f"regexp_replace(regexp_replace(trim({text}), '\\s?(z|GMT)$', 'Z'), '(:\\d\\d[^+-]*[+-]\\d\\d)$', '\\1:00')"
    zoned = f"regexp_replace({zoned}, '^([^:]*:\\d\\d)([^:\\d].*|)$', '\\1:00\\2')"
    return (
        f"CASE WHEN {matches(f'trim({text})', INSTANT_FORM)} THEN TRY_CAST({zoned} AS TIMESTAMP WITH TIME ZONE) "
        f"WHEN {matches(f'trim({text})', DATETIME_FORM)} "
        f"THEN TRY_CAST({text} AS TIMESTAMP) AT TIME ZONE 'UTC' END"
    )


def _time(text: str, field: SchemaField, formats: Formats) -> str:
    return f"CASE WHEN {matches(f'trim({text})', TIME_FORM)} THEN TRY_CAST({text} AS TIME) END"


def _bytes(text: str, field: SchemaField, formats: Formats) -> str:
    decoded = f"TRY(from_base64({text}))"
    return f"CASE WHEN to_base64({decoded}) = {text} THEN {decoded} END"


def _json(text: str, field: SchemaField, formats: Formats) -> str:
    return f"CASE WHEN json_valid({text}) THEN {text} END"


_CASTS: Mapping[FieldType, Callable[[str, SchemaField, Formats], str]] = {
    FieldType.STRING: _string,
    FieldType.BYTES: _bytes,
    FieldType.INTEGER: _integer,
    FieldType.FLOAT: _float,
    FieldType.NUMERIC: _numeric,
    FieldType.BIGNUMERIC: _numeric,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.TIMESTAMP: _timestamp,
    FieldType.TIME: _time,
    FieldType.JSON: _json,
}
