"""From an element of the answer to rows: the way on into it, columns of what encloses it, nested objects flattened.

Values stay the very text they were sent as.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import orjson

from ingestion.errors import SchemaMismatch
from ingestion.sources.api.paths import ParentColumn, RowPath, Step

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_SEPARATOR = "__"

Members = dict[str, msgspec.Raw]


class Shape:
    """What becomes of each element."""

    def __init__(self, path: RowPath, parents: Sequence[ParentColumn] = (), flatten: bool = False) -> None:
        self._inner = path.inner
        self._parents = parents
        self._flatten = flatten
        self.is_plain = not path.inner and not parents and not flatten
        """Whether elements are rows as they are."""

    def rows(self, element: bytes) -> Iterator[bytes]:
        """The rows in one element; an element that is no valid JSON is passed on, to be rejected with its place."""
        if self.is_plain:
            yield element
            return
        try:
            yield from self._walked(element, 0, {})
        except msgspec.DecodeError:
            yield element

    def _walked(self, value: bytes, depth: int, carried: Members) -> Iterator[bytes]:
        here = [column for column in self._parents if column.depth == depth]
        if here:
            carried = carried | {column.name: _member(value, column.keys) for column in here}
        if depth == len(self._inner):
            yield self._row(value, carried)
            return
        step = self._inner[depth]
        for found in _entered(value, step, is_last=depth + 1 == len(self._inner)):
            yield from self._walked(found, depth + 1, carried)

    def _row(self, value: bytes, carried: Members) -> bytes:
        if not carried and not self._flatten:
            return value
        if value[:1] != b"{":
            return value
        members = _MEMBERS.decode(value)
        if self._flatten:
            flat: Members = {}
            _flatten(members, "", flat)
            members = flat
        twice = carried.keys() & members.keys()
        if twice:
            raise SchemaMismatch(
                f"parent_columns names a column {', '.join(sorted(twice))}, which the rows have themselves; "
                f"choose another name",
            )
        return written(carried | members)


def _entered(value: bytes, step: Step, is_last: bool) -> Iterator[bytes]:
    if step.key:
        if value[:1] != b"{":
            return
        found = _MEMBERS.decode(value).get(step.key)
        if found is None:
            return
        value = bytes(found)
    if value == b"null":
        return
    if value[:1] == b"[" and (step.each or is_last):
        for element in _ELEMENTS.decode(value):
            yield bytes(element)
    else:
        yield value


def _member(value: bytes, keys: Sequence[str]) -> msgspec.Raw:
    for key in keys:
        found = _MEMBERS.decode(value).get(key) if value[:1] == b"{" else None
        if found is None:
            return msgspec.Raw(b"null")
        value = bytes(found)
    return msgspec.Raw(value)


def _flatten(members: Members, prefix: str, flat: Members) -> None:
    for key, raw in members.items():
        name = f"{prefix}{_SEPARATOR}{key}" if prefix else key
        value = bytes(raw)
        inner = _MEMBERS.decode(value) if value[:1] == b"{" else None
        if inner:
            _flatten(inner, name, flat)
        elif name in flat:
            raise SchemaMismatch(f"flatten makes two columns '{name}' of one row; leave it off, or rename one of them")
        else:
            flat[name] = raw


def written(members: Members) -> bytes:
    """An object of these members, each as it was sent."""
    return b"{" + b",".join(orjson.dumps(key) + b":" + bytes(raw) for key, raw in members.items()) + b"}"
