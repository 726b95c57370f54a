"""Types told from the data: by every value, not by a sample, and only where no value is changed by it.

A sample of the first rows rules out most candidates cheaply; those left are then tested on all rows.
So a type that is told always fits, and nothing has to be read again.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import duckdb

from ingestion.formats.casting import (
    DATETIME_FORM,
    DECIMAL_FORM,
    EXPONENT_FORM,
    INSTANT_FORM,
    Formats,
    cast,
    matches,
)
from ingestion.formats.engine import Tick, run
from ingestion.formats.types import literal
from ingestion.model.schema import FieldType, SchemaField

_SAMPLE_ROWS = 5_000
_COLUMNS_AT_ONCE = 64  # Planning takes the square of the number of expressions.
_EXACT_DIGITS = 15  # Every decimal of so many digits survives the way through a double.


class Candidate(StrEnum):
    """What a column of text may be, the narrowest first. SCALAR: no value is a JSON object or array."""

    BOOLEAN = "BOOLEAN"
    INTEGER = "INTEGER"
    FLOAT = "FLOAT"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"
    DATETIME = "DATETIME"
    SCALAR = "SCALAR"


TEXT_CANDIDATES = frozenset(set(Candidate) - {Candidate.SCALAR})
TOKEN_CANDIDATES = frozenset({Candidate.BOOLEAN, Candidate.INTEGER, Candidate.FLOAT, Candidate.SCALAR})


def remaining(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    columns: Mapping[str, tuple[str, frozenset[Candidate]]],
    formats: Formats,
    tick: Tick = lambda: None,
    rows: int | None = None,
) -> dict[str, tuple[bool, frozenset[Candidate]]]:
    """For each column id: whether it has a value at all, and the candidates that all its values fit.

    `columns` maps the id to the SQL of its text and the candidates still possible. `rows` is the number of rows of
    the file, if known: a file that is no larger than the sample is tested once.
    """
    if not columns:
        return {}
    sample = f"(SELECT * FROM read_parquet({literal(str(path))}) LIMIT {_SAMPLE_ROWS})"
    left = _surviving(connection, sample, columns, formats, tick)
    if rows is not None and rows <= _SAMPLE_ROWS:
        return left
    narrowed = {column: (columns[column][0], left[column][1]) for column in columns}
    return _surviving(connection, f"read_parquet({literal(str(path))})", narrowed, formats, tick)


def _surviving(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, tuple[str, frozenset[Candidate]]],
    formats: Formats,
    tick: Tick,
) -> dict[str, tuple[bool, frozenset[Candidate]]]:
    left: dict[str, tuple[bool, frozenset[Candidate]]] = {}
    given = iter(columns.items())
    while part := dict(itertools.islice(given, _COLUMNS_AT_ONCE)):
        left |= _surviving_of(connection, source, part, formats, tick)
    return left


def _surviving_of(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, tuple[str, frozenset[Candidate]]],
    formats: Formats,
    tick: Tick,
) -> dict[str, tuple[bool, frozenset[Candidate]]]:
    tests: list[str] = []
    asked: list[tuple[str, Sequence[Candidate]]] = []
    for column, (text, candidates) in columns.items():
        ordered = [candidate for candidate in Candidate if candidate in candidates]
        asked.append((column, ordered))
        tests.append(f"count({text}) > 0")
        tests += [_all_fit(text, candidate, formats) for candidate in ordered]
    answers = iter(run(connection, f"SELECT {', '.join(tests)} FROM {source}", tick)[0])
    return {
        column: (bool(next(answers)), frozenset(candidate for candidate in ordered if next(answers)))
        for column, ordered in asked
    }


def _all_fit(text: str, candidate: Candidate, formats: Formats) -> str:
    fits = f"coalesce({_fits(text, candidate, formats)}, false)"
    return f"coalesce(bool_and(CASE WHEN {text} IS NOT NULL THEN {fits} END), true)"


def _fits(text: str, candidate: Candidate, formats: Formats) -> str:
    if candidate is Candidate.BOOLEAN:
        return f"{text} IN ('true', 'false', 'TRUE', 'FALSE', 'True', 'False')"
    if candidate is Candidate.INTEGER:
        return f"CAST(TRY_CAST({text} AS BIGINT) AS VARCHAR) = {text}"
    if candidate is Candidate.FLOAT:
        return _is_exact_float(text)
    if candidate is Candidate.SCALAR:
        return f"{text}[1] NOT IN ('{{', '[')"
    if candidate is Candidate.DATE:
        if formats.date:
            return f"try_strptime({text}, {literal(formats.date)}) IS NOT NULL"
        return f"CAST(TRY_CAST({text} AS DATE) AS VARCHAR) = {text} AND length({text}) = 10"
    return _is_time_of(text, candidate, formats)


def _is_time_of(text: str, candidate: Candidate, formats: Formats) -> str:
    if formats.timestamp:
        if formats.timestamp_has_zone != (candidate is Candidate.TIMESTAMP):
            return "false"
        return f"try_strptime({text}, {literal(formats.timestamp)}) IS NOT NULL"
    form = INSTANT_FORM if candidate is Candidate.TIMESTAMP else DATETIME_FORM
    value = cast(text, SchemaField(name="x", type=FieldType(candidate.value)))
    return f"{matches(text, form)} AND {text} LIKE '____-__-__%:%' AND {value} IS NOT NULL"


def _is_exact_float(text: str) -> str:
    """Numbers without leading zeros whose every digit the double keeps."""
    digits = f"length(regexp_replace(regexp_replace({text}, '[eE].*$', ''), '[^0-9]', '', 'g'))"
    trimmed = f"regexp_replace(regexp_replace({text}, '(\\.\\d*?)0+$', '\\1'), '\\.$', '')"
    number = f"TRY_CAST({text} AS DOUBLE)"
    # The forms programs write doubles in: the shortest that is unique, and a fixed number of digits.
    forms = [f"regexp_replace(CAST({number} AS VARCHAR), '\\.0$', '')"]
    forms += [f"printf('%.{count}g', {number})" for count in (16, 17)]
    is_written = f"{trimmed} IN ({', '.join(forms)})"
    padded = "-?0[0-9].*"
    return (
        f"CASE WHEN {matches(text, padded)} OR {text} LIKE '+%' OR {text} LIKE '%.' THEN false "
        f"WHEN {matches(text, DECIMAL_FORM)} "
        f"THEN (CASE WHEN length({text}) <= {_EXACT_DIGITS} THEN true ELSE {is_written} END) "
        f"WHEN {matches(text, EXPONENT_FORM)} THEN {digits} <= {_EXACT_DIGITS} END"
    )


def told_type(has_values: bool, candidates: frozenset[Candidate], is_json: bool) -> FieldType:
    """The type of a column after all its values were tested; without any value it is STRING."""
    if not has_values:
        return FieldType.STRING
    for candidate in Candidate:
        if candidate in candidates and candidate is not Candidate.SCALAR:
            return FieldType(candidate.value)
    return FieldType.JSON if is_json and Candidate.SCALAR not in candidates else FieldType.STRING
