"""A document that fits into memory, taken apart into its elements and the rest, in one pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ingestion.errors import ParseFailed
from ingestion.sources.api.paths import RowPath, told_path

_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Parts:
    """The elements at `path` as they were sent, and the document without them."""

    elements: Sequence[msgspec.Raw]
    envelope: Any
    path: RowPath


def take_apart(document: bytes, path: RowPath | None, shown: str, may_lack: bool) -> Parts:
    """The parts of a JSON document. `path` None: told from it; `may_lack`: a last key that is missing means no rows.

    Raises msgspec.DecodeError when it is not JSON, ParseFailed when it has nothing at the path.
    """
    if path is None:
        path = RowPath(())
        if document[:1] == b"{":
            path = told_path({name: chr(memoryview(raw)[0]) for name, raw in _MEMBERS.decode(document).items()}, shown)
    elements, envelope = _descended(document, path.outer, path, shown, may_lack)
    return Parts(elements, envelope, path)


def _descended(
    value: bytes, keys: Sequence[str], path: RowPath, shown: str, may_lack: bool
) -> tuple[Sequence[msgspec.Raw], Any]:
    if not keys:
        return _elements(value)
    if value[:1] != b"{":
        raise nothing_at(path, keys[0], shown, f"in something that is not an object: {value[:40]!r}")
    members = _MEMBERS.decode(value)
    found = members.pop(keys[0], None)
    envelope = {name: plain(bytes(raw)) for name, raw in members.items()}
    if found is None:
        if may_lack and len(keys) == 1:
            return (), envelope
        raise nothing_at(path, keys[0], shown, f"among {', '.join(list(members)[:20]) or 'no members at all'}")
    elements, inside = _descended(bytes(found), keys[1:], path, shown, may_lack)
    return elements, envelope | {keys[0]: inside}


def _elements(value: bytes) -> tuple[Sequence[msgspec.Raw], Any]:
    if value[:1] == b"[":
        return _ELEMENTS.decode(value), []
    if value == b"null":
        return (), None
    return (_WHOLE.decode(value),), {}


_WHOLE = msgspec.json.Decoder(msgspec.Raw)


def nothing_at(path: RowPath, key: str, shown: str, where: str) -> ParseFailed:
    """That the data path leads nowhere."""
    return ParseFailed(f"{shown}: data_path '{path.text}' has no '{key}' {where}", url=shown)


def plain(text: bytes | str) -> Any:
    """A JSON value; numbers with a fraction stay text, so that a cursor is sent back as it came."""
    return json.loads(text, parse_float=str)
