"""A document that fits into memory, taken apart into its elements and the rest, in one pass."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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


def take_apart(document: bytes, path: RowPath | None, shown: str, like: Any) -> Parts:
    """The parts of a JSON document. `path` None: told from it. `like` is the first page's envelope, if any:
    where only the rows of a document like it are missing, there are none.

    Raises msgspec.DecodeError when it is not JSON, ParseFailed when it has nothing at the path.
    """
    if path is None:
        path = RowPath(())
        if document[:1] == b"{":
            path = told_path({name: chr(memoryview(raw)[0]) for name, raw in _MEMBERS.decode(document).items()}, shown)
    elements, envelope = _descended(document, path.outer, path, shown, like)
    return Parts(elements, envelope, path)


def _descended(
    value: bytes, keys: Sequence[str], path: RowPath, shown: str, like: Any
) -> tuple[Sequence[msgspec.Raw], Any]:
    if not keys:
        return _elements(value)
    if value[:1] != b"{":
        raise nothing_at(path, keys[0], shown, f"in something that is not an object: {value[:40]!r}")
    members = _MEMBERS.decode(value)
    found = members.pop(keys[0], None)
    envelope = {name: plain(bytes(raw)) for name, raw in members.items()}
    if found is None:
        if len(keys) == 1 and is_like(members, like):
            return (), envelope
        raise nothing_at(path, keys[0], shown, f"among {', '.join(list(members)[:20]) or 'no members at all'}")
    inner = like.get(keys[0]) if isinstance(like, dict) else None
    elements, inside = _descended(bytes(found), keys[1:], path, shown, inner)
    return elements, envelope | {keys[0]: inside}


def _elements(value: bytes) -> tuple[Sequence[msgspec.Raw], Any]:
    if value[:1] == b"[":
        return _ELEMENTS.decode(value), []
    if value == b"null":
        return (), None
    return (_WHOLE.decode(value),), {}


_WHOLE = msgspec.json.Decoder(msgspec.Raw)


def is_like(members: Iterable[str], like: Any) -> bool:
    """Whether an object has no member that the first page's has not: so it is no message of an error."""
    return isinstance(like, dict) and set(members) <= set(like)


def nothing_at(path: RowPath, key: str, shown: str, where: str) -> ParseFailed:
    """That the data path leads nowhere."""
    return ParseFailed(f"{shown}: data_path '{path.text}' has no '{key}' {where}", url=shown)


def plain(text: bytes | str) -> Any:
    """A JSON value; numbers with a fraction stay text, so that a cursor is sent back as it came."""
    return json.loads(text, parse_float=str)
