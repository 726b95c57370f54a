"""XML files: one row per record element, its members as JSON tokens until the types are known."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from ingestion.formats.columns import Column, Columns, Encoding, RawFile
from ingestion.formats.engine import Tick
from ingestion.formats.json_text import JsonRow
from ingestion.formats.nested import is_nested
from ingestion.formats.rejects import RejectFile
from ingestion.formats.tokens import TokenFiles, misfit_reject
from ingestion.formats.unpacking import ByteStream, encoding_of, utf8_chunks
from ingestion.formats.xml_records import TEXT_KEY, xml_records
from ingestion.model.extraction import FileExtraction
from ingestion.model.schema import FieldMode, FieldType, SchemaField

_CHUNK = 1 << 18
_UNIT = "record"
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def stage_xml(
    stream: ByteStream,
    name: str,
    params: FileExtraction,
    columns: Columns,
    path: Path,
    rejects: RejectFile,
    tick: Tick,
) -> Sequence[RawFile]:
    """Stage an XML stream as one raw file per set of columns that came up, named after `path`.

    Text that is a null marker, or empty when none are given, is no value.
    """
    markers = frozenset(("",) if params.null_values is None else params.null_values)
    chunks, encoding = _chunks(stream, name, params.encoding, tick)
    staged = TokenFiles(name, _UNIT, columns, path, Encoding.MARKUP)
    try:
        for number, record in enumerate(xml_records(chunks, params.record_tag, name, encoding), start=1):
            row = JsonRow(number, _tokens(record, staged, markers))
            misfit = staged.add(row)
            if misfit:
                rejects.add(misfit_reject(name, _UNIT, row, misfit))
        return staged.close()
    except BaseException:
        staged.abandon()
        raise


def _chunks(stream: ByteStream, name: str, declared: str | None, tick: Tick) -> tuple[Iterator[bytes], str | None]:
    """The bytes, and the encoding that they have for certain; None where the document itself has to say it."""
    head = stream.read(_CHUNK)
    whole = _Refilled(head, stream)
    if declared is not None or encoding_of(head, None)[0] != "utf-8":
        return utf8_chunks(whole, name, declared, tick), "utf-8"
    return _ticking(whole, tick), None


class _Refilled:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: ByteStream) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        head, self._head = self._head, b""
        return head or self._rest.read(size)


def _ticking(stream: ByteStream, tick: Tick) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
        tick()


def _tokens(record: Mapping[str, Any], staged: TokenFiles, markers: Collection[str]) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for key, value in record.items():
        column = staged.column(key)
        if value is None or (isinstance(value, str) and value in markers):
            continue
        if not isinstance(value, str):
            column.has_nested = True
            column.has_lists |= isinstance(value, list)
        elif column.fixed is None:
            tokens[key] = encode_basestring(value)
            continue
        tokens[key] = _token(value, column)
    return tokens


def _token(value: Any, column: Column) -> str:
    if column.fixed is not None and is_nested(column.fixed):
        value = shaped(value, column.fixed)
    return json.dumps(value, ensure_ascii=False)


def shaped(value: Any, field: SchemaField) -> Any:
    """The value in the form that JSON would have it in for the declared nested field.

    XML does not tell one element from a list of one, nor an empty record from an empty text. What does not have
    the form is left as it is, for the check of the row to find it.
    """
    if field.mode is FieldMode.REPEATED:
        element = field.model_copy(update={"mode": FieldMode.NULLABLE})
        return [shaped(item, element) for item in (value if isinstance(value, list) else [value])]
    if field.type is FieldType.RECORD:
        return _shaped_record(value, field)
    if not isinstance(value, str) or field.type is FieldType.STRING:
        return value
    if not value.strip():
        return None
    return _BOOLEANS.get(value.strip().lower(), value) if field.type is FieldType.BOOLEAN else value


def _shaped_record(value: Any, field: SchemaField) -> Any:
    parts = {part.name: part for part in field.fields or ()}
    if isinstance(value, str):
        if not value:
            return {}
        value = {TEXT_KEY: value} if TEXT_KEY in parts else value
    if not isinstance(value, dict):
        return value
    return {key: shaped(item, parts[key]) if key in parts else item for key, item in value.items()}
