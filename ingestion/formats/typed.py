"""From raw files to data files of the final schema, and to rejects for the values that do not fit it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import ParseFailed, SchemaMismatch
from ingestion.formats.casting import Formats, cast
from ingestion.formats.columns import POSITION_COLUMN, TEXT_COLUMN, Column, Encoding, RawFile, Target
from ingestion.formats.engine import Tick, run
from ingestion.formats.nested import is_nested
from ingestion.formats.rejects import Reject, RejectFile
from ingestion.formats.telling import Candidate, remaining
from ingestion.formats.tokens import object_text
from ingestion.formats.types import duckdb_type, literal, quoted, type_label
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_FETCH = 1_000


@dataclass(frozen=True)
class Reading:
    """How text is understood: null markers of typed columns, and written forms of dates."""

    null_values: Sequence[str] = ()
    formats: Formats = field(default_factory=Formats)


def learn(
    connection: duckdb.DuckDBPyConnection, raw: RawFile, columns: Sequence[Column], reading: Reading, tick: Tick
) -> None:
    """Test which types the columns of a text or token file may still have."""
    open_columns = {column.id: column for column in columns if column.fixed is None and column.id in raw.fields}
    asked: dict[str, tuple[str, frozenset[Candidate]]] = {}
    for column in open_columns.values():
        if column.has_nested:
            continue
        text = quoted(column.id) if raw.encoding is Encoding.TOKEN else _present_text(raw, column.id, reading)
        asked[column.id] = (text, column.candidates)
    for column_id, (has_values, left) in remaining(
        connection, raw.path, asked, reading.formats, tick, raw.rows
    ).items():
        open_columns[column_id].candidates = left
        open_columns[column_id].has_values |= has_values


@dataclass(frozen=True)
class _Value:
    """SQL of a column's value, of its text, and of whether the row has to be rejected for it."""

    target: Target
    sql: str
    text: str
    misfits: str | None


def write_typed(
    connection: duckdb.DuckDBPyConnection,
    raw: RawFile,
    targets: Sequence[Target],
    path: Path,
    reading: Reading,
    row_group: int,
    tick: Tick,
) -> int:
    """Write the rows of `raw` that fit `targets` to the Parquet file `path`; the number of them."""
    values = [_value(raw, target, reading) for target in targets]
    selected = ", ".join(f"{value.sql} AS {quoted(value.target.field.name)}" for value in values)
    sql = (
        f"COPY (SELECT {selected} FROM {_source(raw)} WHERE NOT ({_any_misfit(values)})) "
        f"TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {row_group})"
    )
    try:
        return int(run(connection, sql, tick)[0][0])
    except duckdb.InvalidInputException as error:
        raise ParseFailed(f"'{raw.object}' cannot be read: {str(error).partition(chr(10))[0]}") from error


def collect_misfits(
    connection: duckdb.DuckDBPyConnection,
    raw: RawFile,
    targets: Sequence[Target],
    reading: Reading,
    rejects: RejectFile,
) -> int:
    """Reject the rows of `raw` that do not fit; the number of them."""
    values = [_value(raw, target, reading) for target in targets]
    ids = list(raw.fields)
    texts = [_text_of(raw, column, reading) if raw.encoding is Encoding.NATIVE else quoted(column) for column in ids]
    number = "file_row_number + 1" if raw.encoding is Encoding.NATIVE else POSITION_COLUMN
    text = TEXT_COLUMN if raw.has_text else "NULL"
    found = connection.execute(
        f"SELECT {number}, {text}, {_first_misfit(values)}, {', '.join(texts)} FROM {_source(raw)} "
        f"WHERE {_any_misfit(values)} ORDER BY file_row_number"
    )
    names = {target.id: target.field.name for target in targets}
    count = 0
    while batch := found.fetchmany(_FETCH):
        for position, raw_row, which, *cells in batch:
            value = values[which]
            cell = dict(zip(ids, cells, strict=True)).get(value.target.id)
            is_missing = cell is None or (value.target.field.mode is FieldMode.REQUIRED and not _shown(cell))
            rejects.add(
                Reject(
                    object=raw.object,
                    position=f"{raw.unit} {position}",
                    error_code="REQUIRED_NULL" if is_missing else "TYPE_MISMATCH",
                    column_name=value.target.field.name,
                    expected=type_label(value.target.field) + (" REQUIRED" if is_missing else ""),
                    got=None
                    if is_missing
                    else _shown(_element_text(cell) if raw.encoding is Encoding.MARKUP else cell),
                    raw_row=raw_row if raw_row is not None else _row_text(raw, names, ids, cells),
                    raw_columns=None if raw_row is None else json.dumps([names[column] for column in ids]),
                )
            )
            count += 1
    return count


def _element_text(token: Any) -> Any:
    """The text of an element as it stood in the document; nested ones as JSON."""
    return json.loads(token) if token.startswith('"') else token


def _shown(cell: Any) -> str:
    return cell if isinstance(cell, str) else str(cell)


def _row_text(raw: RawFile, names: dict[str, str], ids: Sequence[str], cells: Sequence[Any]) -> str:
    named = [(names[column], cell) for column, cell in zip(ids, cells, strict=True)]
    if raw.encoding in (Encoding.TOKEN, Encoding.MARKUP):
        return object_text((name, cell) for name, cell in named if cell is not None)
    return json.dumps(dict(named), ensure_ascii=False)


def _source(raw: RawFile) -> str:
    return f"read_parquet({literal(str(raw.path))}, file_row_number = true, hive_partitioning = false)"


def _any_misfit(values: Sequence[_Value]) -> str:
    tests = [value.misfits for value in values if value.misfits]
    return " OR ".join(f"({test})" for test in tests) or "false"


def _first_misfit(values: Sequence[_Value]) -> str:
    cases = " ".join(f"WHEN {value.misfits} THEN {index}" for index, value in enumerate(values) if value.misfits)
    return f"CASE {cases} END" if cases else "NULL"


def _value(raw: RawFile, target: Target, reading: Reading) -> _Value:
    wanted = target.field
    if target.id not in raw.fields:
        is_required = target.is_fixed and wanted.mode is FieldMode.REQUIRED
        return _Value(target, f"CAST(NULL AS {_stored_type(wanted)})", "NULL", "true" if is_required else None)
    text, sql = _text_and_value(raw, target, reading)
    tests = []
    if target.is_fixed and not _is_kept(raw, target):
        tests.append(f"({text} IS NOT NULL AND {sql} IS NULL)")
    if target.is_fixed and wanted.mode is FieldMode.REQUIRED:
        tests.append(f"{sql} IS NULL")
    return _Value(target, sql, text, " OR ".join(tests) or None)


def _stored_type(field: SchemaField) -> str:
    return "VARCHAR" if field.type is FieldType.JSON and not is_nested(field) else duckdb_type(field)


def _is_kept(raw: RawFile, target: Target) -> bool:
    """Whether the raw value is the value already."""
    native = raw.fields[target.id]
    return native is not None and duckdb_type(native) == duckdb_type(target.field)


def _text_and_value(raw: RawFile, target: Target, reading: Reading) -> tuple[str, str]:
    column, wanted = quoted(target.id), target.field
    if raw.encoding is Encoding.NATIVE and _is_kept(raw, target):
        return column, column
    if is_nested(wanted):
        return column, _nested_value(raw, column, wanted)
    if raw.encoding is Encoding.TEXT:
        text = column if wanted.type is FieldType.STRING else _present(column, reading)
        return text, cast(text, wanted, reading.formats)
    if raw.encoding is Encoding.MARKUP:
        if wanted.type is FieldType.JSON:
            return column, _listed(column) if target.has_lists else column
        text = _decoded(column) if wanted.type is FieldType.STRING else _present_text(raw, target.id, reading)
        return text, cast(text, wanted, reading.formats)
    if raw.encoding is Encoding.TOKEN:
        if wanted.type is FieldType.JSON:
            return column, column
        text = _text_of(raw, target.id, reading)
        return text, cast(text, wanted, reading.formats)
    text = _text_of(raw, target.id, reading)
    return text, cast(text, wanted)


def _nested_value(raw: RawFile, column: str, wanted: SchemaField) -> str:
    if raw.encoding not in (Encoding.TOKEN, Encoding.MARKUP):
        raise SchemaMismatch(
            f"The column '{wanted.name}' is declared as {type_label(wanted)}, which '{raw.object}' cannot hold"
        )
    return f"json_transform_strict({column}, {literal(json.dumps(_structure(wanted)))})"


def _structure(field: SchemaField) -> Any:
    """The field as DuckDB's json_transform describes it."""
    if field.type is FieldType.RECORD:
        inner: Any = {part.name: _structure(part) for part in field.fields or ()}
    else:
        inner = duckdb_type(field.model_copy(update={"mode": FieldMode.NULLABLE}))
    return [inner] if field.mode is FieldMode.REPEATED else inner


def _text_of(raw: RawFile, column_id: str, reading: Reading) -> str:
    """SQL for a raw value as text."""
    column, native = quoted(column_id), raw.fields[column_id]
    if raw.encoding is Encoding.TEXT:
        return _present(column, reading)
    if raw.encoding is Encoding.TOKEN:
        return _unless(_decoded(column), reading.null_values)
    if raw.encoding is Encoding.MARKUP:
        return _decoded(column)
    if native is not None and is_nested(native):
        return f"CAST(to_json({column}) AS VARCHAR)"
    if native is not None and native.type is FieldType.BYTES:
        return f"to_base64({column})"
    return f"CAST({column} AS VARCHAR)"


def _decoded(column: str) -> str:
    """SQL for a JSON token as text. What is between the quotes is the text itself where nothing is escaped."""
    return (
        f"(CASE WHEN {column}[1] <> '\"' THEN {column} "
        f"WHEN contains({column}, '\\') THEN CAST({column} AS JSON) ->> '$' "
        f"ELSE substring({column}, 2, length({column}) - 2) END)"
    )


def _listed(column: str) -> str:
    """SQL for a JSON value as a list, that of a single value too."""
    return f"(CASE WHEN {column}[1] = '[' THEN {column} ELSE '[' || {column} || ']' END)"


def _present_text(raw: RawFile, column_id: str, reading: Reading) -> str:
    """SQL for the text of a cell or of an element; NULL when it says nothing."""
    column = quoted(column_id)
    return _present(_decoded(column) if raw.encoding is Encoding.MARKUP else column, reading)


def _present(text: str, reading: Reading) -> str:
    """`text`, or NULL for an empty cell or a null marker, quoted or not."""
    return _unless(text, ("", *reading.null_values))


def _unless(text: str, markers: Sequence[str]) -> str:
    listed = ", ".join(literal(marker) for marker in sorted(set(markers)))
    return f"(CASE WHEN {text} IN ({listed}) THEN NULL ELSE {text} END)" if listed else text
