"""CSV files, structurally: every row either has one text cell per column, or is rejected with its line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ingestion.formats.cells import CellFile
from ingestion.formats.columns import Columns, Encoding, RawFile
from ingestion.formats.detection import kind_of
from ingestion.formats.dialect import Layout, layout_of
from ingestion.formats.engine import Tick
from ingestion.formats.lines import Lines, is_text, text_blocks
from ingestion.formats.records import Record, RecordParser
from ingestion.formats.rejects import Reject, RejectFile
from ingestion.formats.unpacking import ByteStream, utf8_chunks
from ingestion.model.extraction import FileExtraction

_HEAD_BYTES = 1 << 20


def stage_csv(
    stream: ByteStream,
    name: str,
    params: FileExtraction,
    columns: Columns,
    path: Path,
    rejects: RejectFile,
    tick: Tick,
) -> Sequence[RawFile]:
    """Stage a CSV stream as cells in the Parquet file `path`. Nothing when there is not even a header.

    The schema names the columns of a file without a header. An unquoted null marker is NULL, and so is an empty
    cell when none are given.
    """
    declared = [field.name for field in params.schema_ or ()]
    null_values = ("",) if params.null_values is None else params.null_values
    chunks = utf8_chunks(stream, name, params.encoding, tick)
    head, is_whole = _head(chunks)
    if not head.strip():
        return ()
    end = b"\n" if b"\n" in head or b"\r" not in head else b"\r"
    first = head.decode("utf-8", "surrogateescape").split(end.decode())
    if not (is_whole and first[-1]):
        first.pop()  # What follows the last line end: nothing, or a line that is cut off.
    layout = layout_of(first, name, params, kind_of(name).extension, declared, is_whole)
    lines = Lines(text_blocks(itertools.chain([head], chunks), name, end), end.decode())
    found = columns.of_file(layout.names)
    ids = [column.id for column in found]
    # Told types always fit; a row can only be rejected for a type that was there before.
    keeps_text = any(column.fixed for column in found)
    with CellFile(path, ids, null_values, keeps_text, layout.dialect.delimiter) as cells:
        _Rows(lines, layout, name, cells, rejects, tick).read()
    return (RawFile(name, path, Encoding.TEXT, dict.fromkeys(ids), cells.rows, "line", keeps_text),)


def _head(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """About the first megabyte, and whether that is all."""
    head = b""
    while len(head) < _HEAD_BYTES:
        chunk = next(chunks, b"")
        if not chunk:
            return head, True
        head += chunk
    return head, False


class _Rows:
    """Reads the rows of one file into `cells` and `rejects`."""

    def __init__(
        self, lines: Lines, layout: Layout, name: str, cells: CellFile, rejects: RejectFile, tick: Tick
    ) -> None:
        self._tick = tick
        self._lines = lines
        self._layout = layout
        self._name = name
        self._cells = cells
        self._rejects = rejects
        self._width = len(layout.names)
        delimiter = layout.dialect.delimiter
        self._is_simple = len(delimiter) == 1 and delimiter.isascii()
        self._names = json.dumps(list(layout.names))
        self._parser = RecordParser(layout.dialect, self._lines)

    def read(self) -> None:
        """Every line after the header belongs to a row, or is blank."""
        for _ in itertools.islice(self._lines, self._layout.lines):
            pass
        while True:
            while (block := self._lines.take_block(self._plain_block)) is not None:
                self._cells.add_lines(block, self._lines.number - block.count("\n"))
            line = next(self._lines, None)
            if line is None:
                return
            number = self._lines.number
            plain = self._plain_line(line)
            if plain is not None:
                self._cells.add_line(plain, number)
            else:
                self._take(self._closed(self._parser.parse(line)), number)

    def _plain_line(self, line: str) -> str | None:
        """The line without a carriage return at its end, when a splitter that knows no dialect reads it right."""
        dialect = self._layout.dialect
        if not self._is_simple or line.count(dialect.delimiter) != self._width - 1:
            return None
        if dialect.quote and dialect.quote in line:
            return None
        plain = line.removesuffix("\r")
        return plain if "\r" not in plain and (plain.isascii() or _is_simple_text(plain)) else None

    def _plain_block(self, block: str) -> str | None:
        """The same of many lines."""
        dialect = self._layout.dialect
        if not self._is_simple or (dialect.quote and dialect.quote in block):
            return None
        plain = block.replace("\r\n", "\n").removesuffix("\r") if "\r" in block else block
        if "\r" in plain or not (plain.isascii() or _is_simple_text(plain)):
            return None
        delimiter, others = dialect.delimiter, self._width - 1
        return plain if all(line.count(delimiter) == others for line in plain.split("\n")) else None

    def _closed(self, record: Record) -> Record:
        """The record; of one whose quote is never closed only the first line, for those after it are rows.

        In a file of one column any line would pass for a row, so there they stay with the open quote.
        """
        if not record.is_open or self._width == 1:
            return record
        first, *others = record.text.split("\n")
        self._lines.give_back(others)
        return replace(record, text=first.removesuffix("\r"))

    def _take(self, record: Record, number: int) -> None:
        if not record.text and self._width > 1:
            return  # A blank line is no row.
        cells = record.cells
        if len(cells) == self._width + 1 and not cells[-1] and self._width not in record.quoted:
            cells = cells[:-1]  # A delimiter at the end of the line.
        if not record.text.isascii() and not is_text(record.text):
            self._reject(record, number, "INVALID_ENCODING", None, "UTF-8", "bytes that are not UTF-8")
        elif record.error is not None:
            self._reject(record, number, record.error[0], None, "a row as the dialect writes it", record.error[1])
        elif len(cells) < self._width:
            missing = self._layout.names[len(cells)]
            self._reject(record, number, "MISSING_COLUMNS", missing, f"{self._width} columns", str(len(cells)))
        elif len(cells) > self._width:
            self._reject(record, number, "TOO_MANY_COLUMNS", None, f"{self._width} columns", str(len(cells)))
        else:
            self._cells.add(cells, number, record.text, record.quoted)

    def _reject(self, record: Record, number: int, code: str, column: str | None, expected: str, got: str) -> None:
        position = f"line {number}"
        self._rejects.add(Reject(self._name, position, code, column, expected, got, record.text, self._names))


def _is_simple_text(line: str) -> bool:
    return "\ufeff" not in line and is_text(line)
