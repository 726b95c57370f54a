"""CSV files, structurally: every row either has one text cell per column, or is rejected with its line.

DuckDB reads with a declared dialect, strictly and in one thread: its parallel scanner loses rows around
quoted line ends when other rows of the file are ragged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion.errors import ParseFailed
from ingestion.formats.detection import kind_of
from ingestion.formats.dialect import Dialect, Layout, layout_of, records
from ingestion.formats.engine import ROW_GROUP, Tick, run
from ingestion.formats.rejects import SHOWN_ROW, Reject, RejectFile
from ingestion.formats.types import literal, quoted
from ingestion.formats.unpacking import ByteStream, utf8_chunks
from ingestion.model.pipeline import FileExtraction

_HEAD_BYTES = 1 << 20
LONGEST_ROW = 8 << 20
"""Bytes a row may have; a longer one is rejected."""
_BUFFER = 2 * LONGEST_ROW
_CODES = {
    "MISSING COLUMNS": "MISSING_COLUMNS",
    "TOO MANY COLUMNS": "TOO_MANY_COLUMNS",
    "UNQUOTED VALUE": "UNCLOSED_QUOTE",
    "LINE SIZE OVER MAXIMUM": "ROW_TOO_LONG",
    "INVALID ENCODING": "INVALID_ENCODING",
}


@dataclass(frozen=True)
class DelimitedFile:
    """A CSV file's rows as UTF-8 text at `path`, header removed. `layout` says what was removed."""

    object: str
    path: Path
    layout: Layout


@dataclass(frozen=True)
class Cells:
    """The outcome of the structural read: rows kept, and the first lines of rejected ones."""

    rows: int
    rejected_lines: frozenset[int]


def write_rows(
    stream: ByteStream, name: str, params: FileExtraction, declared: Sequence[str], path: Path, tick: Tick
) -> DelimitedFile | None:
    """Bring the rows of a CSV stream to `path` as UTF-8. None when there is not even a header."""
    chunks = utf8_chunks(stream, name, params.encoding, tick)
    head, is_whole = b"", False
    while len(head) < _HEAD_BYTES and not is_whole:
        chunk = next(chunks, b"")
        head, is_whole = head + chunk, not chunk
    if not head.strip():
        return None
    layout = layout_of(head, name, params, kind_of(name).extension, declared, is_whole)
    with path.open("wb") as out:
        out.write(head[layout.start :])
        out.writelines(chunks)
    return DelimitedFile(name, path, layout)


def read_cells(
    connection: duckdb.DuckDBPyConnection,
    file: DelimitedFile,
    ids: Sequence[str],
    null_values: Sequence[str],
    path: Path,
    rejects: RejectFile,
    tick: Tick,
) -> Cells:
    """Write the cells as text to the Parquet file `path` in columns named by `ids`; reject what has no such shape.

    An unquoted null marker is NULL. Raises ParseFailed when the file as a whole has no consistent line ends.
    """
    try:
        rows = _copy(connection, file.path, file.layout.dialect, ids, null_values, path, tick)
    except duckdb.InvalidInputException as error:
        if "invalid state" not in str(error):
            problem = str(error).partition("\n")[0]
            raise ParseFailed(f"'{file.object}' cannot be read as CSV: {problem}", object=file.object) from error
        rows = _copy_with_one_line_end(connection, file, ids, null_values, path, tick)
    return Cells(rows, frozenset(_collect_rejects(connection, file, rejects)))


def _copy(
    connection: duckdb.DuckDBPyConnection,
    source: Path,
    dialect: Dialect,
    ids: Sequence[str],
    null_values: Sequence[str],
    path: Path,
    tick: Tick,
) -> int:
    for table in ("bad_rows", "bad_scans"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    columns = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in ids)
    nulls = ", ".join(literal(null) for null in null_values)
    sql = (
        f"COPY (SELECT {', '.join(map(quoted, ids))} FROM read_csv({literal(escape_glob(source))}, "
        f"auto_detect = false, header = false, skip = 0, delim = {literal(dialect.delimiter)}, "
        f"quote = {literal(dialect.quote)}, escape = {literal(dialect.escape)}, strict_mode = true, parallel = false, "
        f"null_padding = false, nullstr = [{nulls}], allow_quoted_nulls = false, columns = {{{columns}}}, "
        f"max_line_size = {LONGEST_ROW}, buffer_size = {_BUFFER}, compression = 'none', hive_partitioning = false, "
        f"store_rejects = true, rejects_table = 'bad_rows', rejects_scan = 'bad_scans')) "
        f"TO {literal(str(path))} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP})"
    )
    return int(run(connection, sql, tick)[0][0])


def _copy_with_one_line_end(
    connection: duckdb.DuckDBPyConnection,
    file: DelimitedFile,
    ids: Sequence[str],
    null_values: Sequence[str],
    path: Path,
    tick: Tick,
) -> int:
    """Read a file that mixes LF and CRLF, by ending every line outside quotes in LF."""
    uniform = file.path.with_suffix(".lf")
    quote = file.layout.dialect.quote.encode()
    with file.path.open("rb") as source, uniform.open("wb") as out:
        is_quoted = False
        for line in source:
            if quote and line.count(quote) % 2:
                is_quoted = not is_quoted
            out.write(line[:-2] + b"\n" if line.endswith(b"\r\n") and not is_quoted else line)
    uniform.replace(file.path)
    try:
        return _copy(connection, file.path, file.layout.dialect, ids, null_values, path, tick)
    except duckdb.InvalidInputException as error:
        raise ParseFailed(
            f"'{file.object}' cannot be read as CSV: its line ends are mixed, or a carriage return stands in a "
            f"value without quotes",
            object=file.object,
        ) from error


def _collect_rejects(connection: duckdb.DuckDBPyConnection, file: DelimitedFile, rejects: RejectFile) -> Iterator[int]:
    found = connection.execute(
        "SELECT line_byte_position, min_by(error_type, column_idx), min_by(error_message, column_idx), "
        "min_by(column_idx, column_idx), any_value(csv_line) FROM bad_rows GROUP BY 1 ORDER BY 1"
    )
    lines = _LineCounter(file)
    while batch := found.fetchmany(1000):
        for position, kind, message, column, text in batch:
            line = lines.at(position - 1)
            yield line
            code = _CODES.get(kind, "PARSE_ERROR")
            is_garbled = code == "INVALID_ENCODING"
            rejects.add(
                Reject(
                    object=file.object,
                    position=f"line {line}",
                    error_code=code,
                    column_name=_name_at(file.layout.names, column),
                    expected="UTF-8" if is_garbled else _expected(message, len(file.layout.names)),
                    got=message.partition("Found: ")[2] or message,
                    raw_row=lines.raw(position - 1) if is_garbled else text.rstrip("\r\n"),
                )
            )


def _expected(message: str, width: int) -> str:
    return f"{width} columns" if "Number of Columns" in message else "a complete row"


def _name_at(names: Sequence[str], position: int | None) -> str | None:
    return names[position - 1] if position is not None and 0 < position <= len(names) else None


class _LineCounter:
    """Turns ascending byte positions of a file into line numbers, in one pass."""

    def __init__(self, file: DelimitedFile) -> None:
        self._file = file
        self._line = file.layout.lines + 1
        self._position = 0
        with file.path.open("rb") as stream:
            self._end = b"\n" if b"\n" in stream.read(_HEAD_BYTES) else b"\r"

    def at(self, position: int) -> int:
        with self._file.path.open("rb") as stream:
            stream.seek(self._position)
            while self._position < position:
                chunk = stream.read(min(_HEAD_BYTES, position - self._position))
                if not chunk:
                    break
                self._line += chunk.count(self._end)
                self._position += len(chunk)
        return self._line

    def raw(self, position: int) -> str:
        """The line at `position`, bytes that are not UTF-8 shown as escapes."""
        with self._file.path.open("rb") as stream:
            stream.seek(position)
            return stream.readline(SHOWN_ROW).rstrip(b"\r\n").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class LocatedRow:
    """A row as it stands in the file: its first line, its text, its cells."""

    line: int
    text: str
    cells: Sequence[str]


def located_rows(file: DelimitedFile, rejected_lines: frozenset[int]) -> Iterator[LocatedRow]:
    """The rows that `read_cells` kept, in order, with their lines: a second, slower read for messages only."""
    layout = file.layout
    width = len(layout.names)
    taken: list[str] = []

    def noted(lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    with file.path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        line = layout.lines + 1
        for cells in records(noted(stream), layout.dialect):
            first, text = line, "".join(taken)
            line += len(taken)
            taken.clear()
            if first not in rejected_lines and (cells or width == 1):
                yield LocatedRow(first, text.rstrip("\r\n"), cells)


def escape_glob(path: Path) -> str:
    """A path as DuckDB's file functions read it, whatever characters it contains."""
    return "".join(f"[{char}]" if char in "[*?" else char for char in str(path))
