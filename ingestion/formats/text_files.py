"""Text files: fixed-width columns, or whole lines. Delimited text is read as CSV is, without quotes and header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.errors import SchemaMismatch
from ingestion.formats.columns import POSITION_COLUMN, Columns, Encoding, RawFile
from ingestion.formats.delimited import stage_csv
from ingestion.formats.engine import Tick
from ingestion.formats.lines import is_text, text_lines
from ingestion.formats.rejects import Reject, RejectFile
from ingestion.formats.unpacking import ByteStream, utf8_chunks
from ingestion.model.extraction import FileExtraction, FixedField

LINE_COLUMN = "line"
_BATCH_LINES = 20_000
_BATCH_CHARACTERS = 8 << 20
_TEXT = pa.large_string()


def stage_text(
    stream: ByteStream,
    name: str,
    params: FileExtraction,
    columns: Columns,
    path: Path,
    rejects: RejectFile,
    tick: Tick,
) -> Sequence[RawFile]:
    """Stage a text stream in the Parquet file `path`: delimited, as `params.fields`, or each line as it stands.

    A line that is shorter than the declared fields, or has text after them, is rejected as it stands; a row with a
    value that does not fit, by its cells, for a line cannot be cut again without the fields. Blanks around a value are
    padding. A blank line of fixed-width text is no row; in a file of whole lines it is one.
    """
    if params.field_delimiter is not None:
        return stage_csv(stream, name, _plainly_delimited(params), columns, path, rejects, tick)
    fields = params.fields
    _require_declared(params, fields)
    chunks = utf8_chunks(stream, name, params.encoding, tick)
    found = columns.of_file([field.name for field in fields] if fields else [LINE_COLUMN])
    if not fields:
        found[0].candidates = frozenset()  # A line is text, whatever it looks like.
    cutter = _Cutter([(column.id, field) for column, field in zip(found, fields, strict=True)] if fields else [])
    ids = [column.id for column in found]
    if params.null_values is None:
        markers: Sequence[str] = ("",) if fields else ()
    else:
        markers = params.null_values
    width = max(field.end for field in fields) if fields else None
    with _LineFile(path, ids, cutter, markers) as lines:
        for number, line in enumerate(text_lines(chunks, name), start=1):
            if number <= (params.skip_header_rows or 0):
                continue
            text = line.removesuffix("\r")
            if width is not None and not text.strip():
                continue
            problem = _problem(text, width)
            if problem is None:
                lines.add(text, number)
            else:
                rejects.add(Reject(name, f"line {number}", *problem, text))
    return (RawFile(name, path, Encoding.TEXT, dict.fromkeys(ids), lines.rows, "line"),)


def _plainly_delimited(params: FileExtraction) -> FileExtraction:
    """Delimited text has neither quotes nor a header until they are declared."""
    quote = params.quote or ""
    escape = quote if params.escape is None else params.escape
    skipped = params.skip_header_rows or 0
    return params.model_copy(update={"quote": quote, "escape": escape, "skip_header_rows": skipped})


def _require_declared(params: FileExtraction, fields: Sequence[FixedField] | None) -> None:
    names = {field.name.lower() for field in fields} if fields else {LINE_COLUMN}
    unknown = [field.name for field in params.schema_ or () if field.name.lower() not in names]
    if unknown:
        hint = "fields" if fields else f"the column '{LINE_COLUMN}' (set fields or field_delimiter to have others)"
        raise SchemaMismatch(f"The column '{unknown[0]}' of the schema is not among {hint}")


def _problem(text: str, width: int | None) -> tuple[str, str | None, str, str] | None:
    """(code, column, expected, got) of a line that is no row."""
    if not text.isascii() and not is_text(text):
        return "INVALID_ENCODING", None, "UTF-8", "bytes that are not UTF-8"
    if width is None:
        return None
    if len(text) < width:
        return "LINE_TOO_SHORT", None, f"{width} characters", str(len(text))
    if len(text) > width and text[width:].strip():
        return "LINE_TOO_LONG", None, f"{width} characters", str(len(text))
    return None


@dataclass(frozen=True)
class _Cutter:
    """Cuts an array of lines into one array per column; without columns the lines are the one column."""

    fields: Sequence[tuple[str, FixedField]]

    def columns(self, lines: pa.Array) -> Iterator[pa.Array]:
        if not self.fields:
            yield lines
        for _, field in self.fields:
            yield pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(lines, field.start - 1, field.end))


class _LineFile:
    """Collects lines and writes them, cut, with their numbers."""

    def __init__(self, path: Path, ids: Sequence[str], cutter: _Cutter, null_values: Sequence[str]) -> None:
        self._schema = pa.schema([(POSITION_COLUMN, pa.int64()), *((column, _TEXT) for column in ids)])
        self._writer = pq.ParquetWriter(path, self._schema, compression="lz4")
        self._cutter = cutter
        self._markers = pa.array(sorted(set(null_values)), _TEXT)
        self._lines: list[str] = []
        self._numbers: list[int] = []
        self._characters = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._lines:
                self._flush()
        finally:
            self._writer.close()

    def add(self, line: str, number: int) -> None:
        self._lines.append(line)
        self._numbers.append(number)
        self._characters += len(line)
        if len(self._lines) >= _BATCH_LINES or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        lines = pa.array(self._lines, _TEXT)
        cells = [self._without_markers(cell) for cell in self._cutter.columns(lines)]
        self._writer.write_table(pa.table([pa.array(self._numbers, pa.int64()), *cells], schema=self._schema))
        self.rows += len(self._lines)
        self._lines, self._numbers, self._characters = [], [], 0

    def _without_markers(self, cells: pa.Array) -> pa.Array:
        if not len(self._markers):
            return cells
        return pc.if_else(pc.is_in(cells, value_set=self._markers), pa.scalar(None, _TEXT), cells)
