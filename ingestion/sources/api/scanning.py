"""A document too large for the memory, scanned piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingestion.formats.json_text import JsonWindow
from ingestion.sources.api.paths import ENVELOPE_NAMES, RowPath, told_path
from ingestion.sources.api.taking_apart import is_like, nothing_at, plain

_KEPT_VALUE = 1 << 20


class ScannedDocument:
    """One pass over a JSON document. After `elements` is exhausted, `envelope` and `path` are known."""

    def __init__(self, chunks: Iterator[bytes], path: RowPath | None, shown: str, like: Any) -> None:
        self._text = JsonWindow(chunks, shown)
        self._shown = shown
        self._like = like
        self.path = path
        self.envelope: Any = {}

    def elements(self) -> Iterator[str]:
        """The elements, each as it was sent. Raises ParseFailed with the line, PartialFile or TooLarge."""
        text = self._text
        if self.path is None and text.peek() == "{":
            yield from self._told()
        else:
            self.path = self.path or RowPath(())
            yield from self._at(self.path, 0, self._keep_root, self._like)
        if text.peek():
            text.fail("there is more text after the end of the document")

    def _keep_root(self, value: Any) -> None:
        self.envelope = value

    def _at(self, path: RowPath, depth: int, keep: Any, like: Any) -> Iterator[str]:
        text = self._text
        if depth == len(path.outer):
            keep([])
            yield from self._rows()
            return
        if text.peek() != "{":
            raise nothing_at(path, path.outer[depth], self._shown, "in something that is not an object")
        members: dict[str, Any] = {}
        keep(members)
        is_there = False
        for name in self._members():
            if name == path.outer[depth] and not is_there:
                is_there = True
                inner = like.get(name) if isinstance(like, dict) else None
                yield from self._at(path, depth + 1, _into(members, name), inner)
            else:
                members[name] = self._rest()
        if not is_there and not (depth + 1 == len(path.outer) and is_like(members, like)):
            raise nothing_at(path, path.outer[depth], self._shown, f"among {', '.join(list(members)[:20])}")

    def _told(self) -> Iterator[str]:
        """Members in their order: the first that obviously holds rows is read; another such one is an error."""
        text = self._text
        kinds: dict[str, str] = {}
        members = self.envelope = {}
        for name in self._members():
            kinds[name] = text.peek()
            if kinds[name] == "[" and name in ENVELOPE_NAMES:
                path = told_path(kinds, self._shown)
                self.path = path
                members[name] = []
                yield from self._rows()
            else:
                members[name] = self._rest()
        self.path = told_path(kinds, self._shown)
        if not self.path.outer:
            text.fail("the document is one object, too large for a row; set data_path")

    def _members(self) -> Iterator[str]:
        """The keys of the object that comes next; each time the value has to be stepped over."""
        text = self._text
        text.take("{")
        while text.peek() != "}":
            name = plain(text.value())
            text.take(":")
            yield str(name)
            if text.peek() != "}":
                text.take(",")
        text.take("}")

    def _rows(self) -> Iterator[str]:
        text = self._text
        if text.peek() != "[":
            value = text.value()
            if value != "null":
                yield value
            return
        text.take("[")
        while text.peek() != "]":
            yield text.value()
            if text.peek() != "]":
                text.take(",")
        text.take("]")

    def _rest(self) -> Any:
        """A value beside the rows; what is too long to say anything about pages is dropped."""
        value = self._text.value()
        return plain(value) if len(value) <= _KEPT_VALUE else None


def _into(members: dict[str, Any], name: str) -> Any:
    def keep(value: Any) -> None:
        members[name] = value

    return keep
