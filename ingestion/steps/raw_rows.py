"""Quarantined rows as files that can be read again: each record one row, and each row's record known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq

from ingestion.formats.records import Dialect, Record, RecordParser
from ingestion.model.extraction import FileExtraction, FileFormat

NOT_REPLAYABLE = "NOT_REPLAYABLE"
NULL_MARKER = "_ingestion_null_"
_DELIMITERS = (",", ";", "\t", "|")
# These stages see rows as the target has them; earlier ones see them as the source does.
_AFTER_TRANSFORMATION = ("load", "publish")
_BATCH = 5_000


@dataclass
class RowFile:
    """One file of rows in the making. `records` has (line, record id) of each row, in order."""

    path: Path
    records: list[tuple[int, str]] = field(default_factory=list)
    _stream: TextIO | None = None
    _line: int = 1

    def add(self, text: str, record_id: str) -> None:
        """One more row."""
        if self._stream is None:
            self._stream = self.path.open("w", encoding="utf-8", newline="")
        self.records.append((self._line, record_id))
        self.write(text)

    def write(self, text: str) -> None:
        """A line that is no row, such as the header."""
        if self._stream is None:
            self._stream = self.path.open("w", encoding="utf-8", newline="")
        self._stream.write(text + "\n")
        self._line += text.count("\n") + 1

    def close(self) -> None:
        """Nothing more comes."""
        if self._stream is not None:
            self._stream.close()


@dataclass
class RawRows:
    """The records of one replay, by how they are read.

    `texts`: lines of delimited text; `documents`: JSON as the source wrote it; `typed`: rows that were read but
    not transformed; `later`: rows that were transformed. `refused` are (record id, object, reason).
    """

    folder: Path
    texts: dict[str, RowFile] = field(default_factory=dict)
    documents: list[RowFile] = field(default_factory=list)
    typed: list[RowFile] = field(default_factory=list)
    later: list[RowFile] = field(default_factory=list)
    refused: list[tuple[str, str | None, str]] = field(default_factory=list)

    def files(self) -> Iterator[RowFile]:
        """All of them."""
        yield from self.texts.values()
        yield from (*self.documents, *self.typed, *self.later)


def sort_records(exported: Path, folder: Path, params: FileExtraction) -> RawRows:
    """Write the exported records into files of their kinds below `folder`."""
    rows = RawRows(folder)
    try:
        with pq.ParquetFile(exported) as file:
            for batch in file.iter_batches(_BATCH):
                for record in batch.to_pylist():
                    _sort(rows, record, params)
    finally:
        for made in rows.files():
            made.close()
    return rows


def _sort(rows: RawRows, record: Mapping[str, Any], params: FileExtraction) -> None:
    record_id, raw, columns = record["record_id"], record["raw_row"], record["raw_columns"]
    reason = _why_not(record)
    if reason is not None:
        rows.refused.append((record_id, record["object"], reason))
    elif columns is not None:
        _sort_text(rows, record, params)
    else:
        kind = "later" if record["stage"] in _AFTER_TRANSFORMATION else _source_kind(record["stage"])
        made: list[RowFile] = getattr(rows, kind)
        if not made:
            made.append(RowFile(rows.folder / f"{kind}.ndjson"))
        # A line end in JSON stands between tokens, where any space will do.
        made[0].add(raw.replace("\r", " ").replace("\n", " "), record_id)


def _source_kind(stage: str | None) -> str:
    return "documents" if stage == "extract" else "typed"


def _why_not(record: Mapping[str, Any]) -> str | None:
    raw = record["raw_row"]
    if raw is None:
        return "its raw row was not kept, as its format is binary or its text could not be told apart"
    if record["error_code"] == "INVALID_ENCODING":
        return "its bytes are not text in the declared encoding, and only their description was kept"
    if record["raw_columns"] is not None:
        return None
    try:
        is_object = isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        is_object = False
    return None if is_object else "its raw row is neither a JSON object nor text whose columns are known"


def _sort_text(rows: RawRows, record: Mapping[str, Any], params: FileExtraction) -> None:
    names = json.loads(record["raw_columns"])
    parsed = _parsed(record["raw_row"], len(names), params)
    if parsed is None:
        reason = f"its text has not the {len(names)} columns that its file names"
        rows.refused.append((record["record_id"], record["object"], reason))
        return
    file = rows.texts.get(record["raw_columns"])
    if file is None:
        file = rows.texts[record["raw_columns"]] = RowFile(rows.folder / f"text-{len(rows.texts):04d}.csv")
        file.write(",".join(_cell(name) for name in names))
    nulls = ("",) if params.null_values is None else params.null_values
    cells = (
        NULL_MARKER if cell in nulls and position not in parsed.quoted else _cell(cell)
        for position, cell in enumerate(parsed.cells)
    )
    file.add(",".join(cells), record["record_id"])


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _parsed(text: str, width: int, params: FileExtraction) -> Record | None:
    """The text as today's parameters understand it; the delimiter is the one that gives the file's columns."""
    unsaid = "" if params.file_format is FileFormat.TEXT else '"'
    quote = unsaid if params.quote is None else params.quote
    escape = quote if params.escape is None else params.escape
    for delimiter in (params.field_delimiter,) if params.field_delimiter else _DELIMITERS:
        lines = iter(text.split("\n"))
        record = RecordParser(Dialect(delimiter, quote, escape), lines).parse(next(lines))
        if record.error is None and len(record.cells) == width and next(lines, None) is None:
            return record
    return None


def reading_of_text(params: FileExtraction) -> FileExtraction:
    """How the files of `texts` are read: as they are written here, with the pipeline's own forms of values."""
    return params.model_copy(
        update=_PLAIN
        | {
            "file_format": FileFormat.CSV, "field_delimiter": ",", "quote": '"', "escape": '"', "skip_header_rows": 1,
            "null_values": (NULL_MARKER, *(params.null_values or ())),
        }
    )  # fmt: skip


def reading_of_documents(params: FileExtraction) -> FileExtraction:
    """How the files of `documents` are read."""
    return params.model_copy(update=_PLAIN | {"file_format": FileFormat.JSON})


def reading_of_values(params: FileExtraction, *, is_source: bool) -> FileExtraction:
    """How `typed` and `later` are read: their values are written as the service writes them."""
    own: dict[str, Any] = {"date_format": None, "timestamp_format": None, "null_values": None}
    declared: dict[str, Any] = {} if is_source else {"schema_": None}
    return params.model_copy(update=_PLAIN | {"file_format": FileFormat.JSON} | own | declared)


_PLAIN: dict[str, Any] = {
    "file_pattern": None, "compression": "none", "encoding": "utf-8", "archive_member": None, "data_path": None,
    "skip_header_rows": None, "field_delimiter": None, "quote": None, "escape": None,
}  # fmt: skip


def records_of(files: Sequence[RowFile]) -> list[tuple[str, int, str]]:
    """(file name, line, record id) of all rows, in the order they are read."""
    return [(file.path.name, line, record_id) for file in files for line, record_id in file.records]
