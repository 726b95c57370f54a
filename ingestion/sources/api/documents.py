"""Rows out of one answer, as lines of JSON, and the rest of its document, which tells about pages.

Numbers and nested values stay the very text they were sent as.
"""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import msgspec
import orjson

from ingestion.errors import ParseFailed, QueryFailed, TooLarge
from ingestion.formats.json_text import LONGEST_VALUE
from ingestion.formats.unpacking import ByteStream, utf8_chunks
from ingestion.formats.xml_records import xml_records
from ingestion.model.extraction.api import ApiExtraction
from ingestion.sources.api.answers import Answer
from ingestion.sources.api.paths import RowPath, parent_columns, row_path
from ingestion.sources.api.scanning import ScannedDocument
from ingestion.sources.api.shaping import Shape
from ingestion.sources.api.taking_apart import plain, take_apart

Element = TypeVar("Element")

_BLOCK_BYTES = 4 << 20
_NDJSON_TYPES = ("ndjson", "jsonl", "json-lines", "x-json-stream")
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_WHITE = b" \t\r\n"


@dataclass(frozen=True)
class Block:
    """Some rows, each a line of JSON that ends with a line feed."""

    lines: bytes
    rows: int


class Document:
    """One answer. After `blocks` is exhausted, the other attributes are known.

    `path` is where the rows are, as told from the first answer; `like` is the first one's envelope.
    """

    def __init__(
        self, answer: Answer, params: ApiExtraction, path: RowPath | None, like: Any, tick: Callable[[], None]
    ) -> None:
        self._answer = answer
        self._params = params
        self._like = like
        self._tick = tick
        self.path = row_path(params.data_path) if params.data_path is not None else path
        self._small = answer.small()
        self.rows = 0
        self.elements = 0
        self.digest = b""
        self.envelope: Any = {}
        self.last_row: Any = None

    @property
    def is_small(self) -> bool:
        """Whether all of it is held in memory."""
        return self._small is not None

    def blocks(self) -> Iterator[Block]:
        """The rows. Raises ParseFailed, PartialFile, TooLarge, or QueryFailed for what GraphQL calls errors."""
        last: Block | None = None
        digest = hashlib.blake2b(digest_size=16)
        for block in self._blocks():
            if block.rows:
                self.rows += block.rows
                digest.update(block.lines)
                last = block
                yield block
        self._require_no_errors(self.envelope)
        self.digest = digest.digest()
        if last is not None:
            self.last_row = last.lines.rstrip(b"\n").rpartition(b"\n")[2]

    def last_value(self, key: str) -> Any:
        """What the last row has at a dotted path; None when it has nothing there."""
        if self.last_row is None:
            return None
        try:
            value = plain(self.last_row)
        except ValueError:
            return None
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def _blocks(self) -> Iterator[Block]:
        answer = self._answer
        if answer.size == 0:
            if answer.status != 204:
                raise ParseFailed(f"{answer.shown} answered {answer.status} without a body", url=answer.shown)
            return
        kind = self._kind()
        if kind == "XML":
            self._refuse_html()
            yield from self._xml()
        elif kind == "NDJSON":
            lines = (line.rstrip(b"\r") for line in _lines(self._text(), answer.shown) if line.strip())
            yield from in_blocks(self._counted(lines))
        else:
            self._refuse_html()
            yield from self._scanned() if self._small is None else self._taken_apart(self._small)

    def _kind(self) -> str:
        told = self._answer.content_type
        if self._params.response_format is not None:
            return self._params.response_format
        is_xml = told.endswith(("/xml", "+xml")) and told not in _HTML_TYPES
        if is_xml or self._params.record_tag is not None:
            return "XML"
        return "NDJSON" if any(word in told for word in _NDJSON_TYPES) else "JSON"

    def _refuse_html(self) -> None:
        """A page for people is no answer, whatever its status says."""
        head = next(self._chunks(), b"")[:1024].lstrip(b"\xef\xbb\xbf" + _WHITE).lower()
        is_html = head.startswith((b"<!doctype html", b"<html")) or self._answer.content_type in _HTML_TYPES
        if is_html or (head[:1] == b"<" and self._kind() == "JSON"):
            self._not_readable()

    def _not_readable(self) -> NoReturn:
        answer = self._answer
        raise ParseFailed(
            f"{answer.shown} answered {answer.status} with {answer.content_type or 'no content type'}, "
            f"which is not {self._kind()}: {answer.head()}",
            url=answer.shown,
            status=answer.status,
        )

    def _chunks(self) -> Iterator[bytes]:
        return self._answer.chunks() if self._small is None else iter((self._small,) if self._small else ())

    def _text(self) -> Iterator[bytes]:
        """The body as UTF-8 without a byte order mark."""
        return self._utf8(_Chunks(self._chunks()))

    def _counted(self, elements: Iterable[Element]) -> Iterator[Element]:
        for element in elements:
            self.elements += 1
            yield element

    def _utf8(self, stream: ByteStream) -> Iterator[bytes]:
        charset = self._answer.charset
        try:
            charset = codecs.lookup(charset).name if charset else None
        except LookupError:
            raise ParseFailed(f"{self._answer.shown} names the charset '{charset}', which nobody knows") from None
        return utf8_chunks(stream, self._answer.shown, charset, self._tick)

    def _taken_apart(self, body: bytes) -> Iterator[Block]:
        text = b"".join(self._utf8(io.BytesIO(body))).strip(_WHITE)
        if text[:1] not in (b"{", b"["):
            self._not_readable()
        if b"\n" in text or b"\r" in text:
            # Line breaks stand between tokens only: inside of texts, JSON writes them as \n.
            text = text.replace(b"\n", b" ").replace(b"\r", b" ")
        try:
            if self._params.query is not None:
                self._require_no_errors(_errors_of(text))
            parts = take_apart(text, self.path, self._answer.shown, self._like)
        except msgspec.DecodeError:
            yield from self._scanned()  # It says where and what is wrong.
            return
        self.path, self.envelope, self.elements = parts.path, parts.envelope, len(parts.elements)
        shape = self._shape()
        if shape.is_plain:
            yield Block(b"".join([b"\n".join(parts.elements), b"\n"]), len(parts.elements))
            return
        rows = [row for element in parts.elements for row in shape.rows(bytes(element))]
        yield Block(b"".join([b"\n".join(rows), b"\n"]), len(rows))

    def _scanned(self) -> Iterator[Block]:
        scan = ScannedDocument(self._text(), self.path, self._answer.shown, self._like)
        yield from in_blocks(self._shaped(scan))
        self.path, self.envelope = scan.path, scan.envelope

    def _shaped(self, scan: ScannedDocument) -> Iterator[bytes]:
        shape: Shape | None = None
        for element in self._counted(scan.elements()):
            if shape is None:
                self.path = scan.path
                shape = self._shape()
            yield from shape.rows(element.replace("\n", " ").replace("\r", " ").encode())

    def _shape(self) -> Shape:
        path = self.path or RowPath(())
        return Shape(path, parent_columns(self._params.parent_columns, path), bool(self._params.flatten))

    def _xml(self) -> Iterator[Block]:
        answer = self._answer
        records = xml_records(self._chunks(), self._params.record_tag, answer.shown, answer.charset)
        shape = Shape(RowPath(()), (), bool(self._params.flatten))
        yield from in_blocks(row for record in self._counted(records) for row in shape.rows(orjson.dumps(record)))

    def _require_no_errors(self, envelope: Any) -> None:
        if self._params.query is None or not isinstance(envelope, dict) or not envelope.get("errors"):
            return
        if self._params.allow_partial_data and envelope.get("data"):
            return
        raise QueryFailed(f"{self._answer.shown} answered with GraphQL errors: {_messages(envelope['errors'])}")


def _errors_of(document: bytes) -> Any:
    if document[:1] != b"{":
        return {}
    members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    found = {name: plain(bytes(members[name])) for name in ("errors",) if name in members}
    data = bytes(members.get("data", b"null"))
    return found | {"data": data != b"null"}


def _messages(errors: Any) -> str:
    listed = errors if isinstance(errors, list) else [errors]
    texts = [str(error.get("message", error)) if isinstance(error, dict) else str(error) for error in listed]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(text[:300] for text in texts[:3]) + more


def in_blocks(rows: Iterable[bytes]) -> Iterator[Block]:
    """Rows gathered into blocks of a few megabytes."""
    gathered: list[bytes] = []
    size = 0
    for row in rows:
        gathered.append(row)
        size += len(row)
        if size >= _BLOCK_BYTES:
            yield Block(b"\n".join(gathered) + b"\n", len(gathered))
            gathered, size = [], 0
    if gathered:
        yield Block(b"\n".join(gathered) + b"\n", len(gathered))


def _lines(chunks: Iterator[bytes], shown: str) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        *lines, end = chunk.split(b"\n")
        for line in lines:
            yield bytes(rest + line)
            rest.clear()
        rest += end
        if len(rest) > LONGEST_VALUE:
            raise TooLarge(f"{shown}: a line is longer than {LONGEST_VALUE} bytes", url=shown)
    if rest:
        yield bytes(rest)


class _Chunks:
    """Chunks as a stream; `read` gives one chunk whatever size is asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int = -1, /) -> bytes:
        """The next chunk; b"" at the end."""
        return next(self._chunks, b"")
