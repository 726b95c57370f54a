"""JSON files: one row per object, one column per member, tokens in a Parquet file until the types are known."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingestion.formats.columns import Columns, RawFile
from ingestion.formats.detection import kind_of
from ingestion.formats.engine import Tick
from ingestion.formats.json_text import BadJson, JsonRow, document_rows, line_rows
from ingestion.formats.rejects import Reject, RejectFile
from ingestion.formats.tokens import TokenFiles, misfit_reject
from ingestion.formats.unpacking import ByteStream, utf8_chunks
from ingestion.model.extraction import FileExtraction

_LINE_EXTENSIONS = (".ndjson", ".jsonl")


def stage_json(
    stream: ByteStream,
    name: str,
    params: FileExtraction,
    columns: Columns,
    path: Path,
    rejects: RejectFile,
    tick: Tick,
) -> Sequence[RawFile]:
    """Stage a JSON stream as one raw file per set of columns that came up, named after `path`."""
    unit, rows = _rows(utf8_chunks(stream, name, params.encoding, tick), name, params)
    staged = TokenFiles(name, unit, columns, path)
    try:
        for row in rows:
            if isinstance(row, JsonRow):
                misfit = staged.add(row)
                if misfit:
                    rejects.add(misfit_reject(name, unit, row, misfit))
            else:
                rejects.add(_bad_reject(name, unit, row))
        return staged.close()
    except BaseException:
        staged.abandon()
        raise


def _rows(chunks: Iterator[bytes], name: str, params: FileExtraction) -> tuple[str, Iterator[JsonRow | BadJson]]:
    """What a row's number counts, and the rows."""
    if params.data_path is not None:
        return "element", document_rows(chunks, name, params.data_path)
    head = b""
    while len(head.lstrip()) < 2 or b"\n" not in head.lstrip():
        chunk = next(chunks, b"")
        head += chunk
        if not chunk:
            break
    whole = itertools.chain([head] if head else [], chunks)
    if kind_of(name).extension in _LINE_EXTENSIONS or not head.strip():
        return "line", line_rows(_lines(whole))
    if head.lstrip().startswith(b"[") or not _begins_with_a_row(head):
        return "element", document_rows(whole, name, None)
    return "line", line_rows(_lines(whole))


def _begins_with_a_row(head: bytes) -> bool:
    """Whether one of the first lines is a whole object: so it is one row a line, not one document over many."""
    lines = [line for line in head.splitlines() if line.strip()]
    return any(_is_object(line) for line in lines[:20])


def _is_object(line: bytes) -> bool:
    try:
        return line.lstrip().startswith(b"{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    for chunk in chunks:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            yield b"".join([*parts, line])
            parts = []
        if rest:
            parts.append(rest)
    if parts:
        yield b"".join(parts)


def _bad_reject(name: str, unit: str, bad: BadJson) -> Reject:
    return Reject(name, f"{unit} {bad.number}", bad.error_code, None, "a JSON object", bad.got, bad.raw)
