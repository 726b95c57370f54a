"""XML as a stream of plain records: one dict per element of a tag, in bounded memory.

    <order id="7"><item>a</item><item>b</item><price currency="EUR">5</price></order>

becomes `{"id": "7", "item": ["a", "b"], "price": {"currency": "EUR", "_text": "5"}}`. Attributes and child
elements are members alike; a name that is there more than once is a list of its values. Text beside
attributes, or directly in a record, is the member `_text`. Text that stands between child elements keeps them
as markup, in its order. All values are text as it stands; an element with xsi:nil is None. A name of another
namespace prefix than the record's own carries it: `media:title` is `media_title`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from ingestion.errors import ParseFailed, PartialFile, TooLarge
from ingestion.formats.xml_layout import NOTHING, Element, Layout, pull_parser, require_layout, tag_matches

TEXT_KEY = "_text"
"""The member that holds an element's own text when it has other members."""
HEAD_BYTES = 1 << 20
LONGEST_RECORD = 64 << 20
"""Bytes of markup that one record, or what stands between two, may take."""
_FEED = 64 << 10
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_DOCTYPE = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL | re.IGNORECASE)
_WRONG_AT_THE_END = frozenset({4, 5, 76})  # No tag at all, text after the end, another end tag: nothing is missing.
_TOO_LONG = 114
_NO_ELEMENT = 1


def xml_records(
    chunks: Iterator[bytes], record_tag: str | None, name: str, encoding: str | None = None
) -> Iterator[dict[str, Any]]:
    """The elements `record_tag` of an XML document as dicts, in their order; only outermost ones.

    `record_tag` is a local name, or `prefix:name`. Without it, the records are the children of the root, when
    they are obviously that. `encoding` overrides what the document says of itself. `name` is for messages.

    Raises ParseFailed with line and column for what is not well-formed, for any DOCTYPE and when there is no such
    record; PartialFile when the document ends early; TooLarge for a record beyond LONGEST_RECORD.
    """
    head = _head(chunks)
    if not head.strip():
        raise PartialFile(f"'{name}' is empty, which no XML document is", object=name)
    _refuse_doctype(head, name)
    layout = require_layout(head, record_tag, name, encoding)
    yield from _Reading(layout, name, encoding).records(itertools.chain([head], chunks))


def _head(chunks: Iterator[bytes]) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES:
        chunk = next(chunks, b"")
        if not chunk:
            break
        head += chunk
    return head


def _refuse_doctype(head: bytes, name: str) -> None:
    if _DOCTYPE.match(head):
        raise ParseFailed(f"'{name}' has a DOCTYPE, which is not read: it could pull in other files", object=name)


class _Reading:
    """One pass over one document."""

    def __init__(self, layout: Layout, name: str, encoding: str | None) -> None:
        from lxml import etree

        self._syntax_error = etree.XMLSyntaxError
        local = layout.record_tag.rpartition(":")[2]
        self._parser = pull_parser(events=("end",), tag=f"{{*}}{local}", encoding=encoding)
        self._layout = layout
        self._name = name
        self._others: dict[str, int] = {}
        self._count = 0

    def records(self, chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        since = 0
        for chunk in chunks:
            for start in range(0, len(chunk), _FEED):
                part = chunk[start : start + _FEED]
                self._feed(part)
                found = self._count
                yield from self._finished()
                since = 0 if self._count > found else since + len(part)
                if since > LONGEST_RECORD:
                    raise TooLarge(
                        f"'{self._name}', record {self._count + 1}: no end of <{self._layout.record_tag}> within "
                        f"{LONGEST_RECORD} bytes",
                        object=self._name,
                    )
        root = self._close()
        yield from self._finished()
        self._require_records(root)

    def _feed(self, part: bytes) -> None:
        try:
            self._parser.feed(part)
        except self._syntax_error as error:
            raise self._failure(error) from error

    def _close(self) -> Element:
        try:
            root: Element = self._parser.close()
        except self._syntax_error as error:
            raise self._failure(error, at_end=True) from error
        return root

    def _failure(self, error: Any, at_end: bool = False) -> ParseFailed | PartialFile | TooLarge:
        return syntax_failure(error, self._name, self._count, at_end)

    def _finished(self) -> Iterator[dict[str, Any]]:
        if self._layout.record_tag == NOTHING:
            return
        events: Iterator[tuple[str, Element]] = self._parser.read_events()
        for _, element in events:
            if not self._is_record(element):
                continue
            if not self._count and element.getroottree().docinfo.doctype:
                raise ParseFailed(f"'{self._name}' has a DOCTYPE, which is not read", object=self._name)
            self._count += 1
            yield self._record(element)
            self._drop(element)

    def _is_record(self, element: Element) -> bool:
        tag = self._layout.record_tag
        if ":" in tag and not tag_matches(element, tag):
            return False
        outer = element.getparent()
        while outer is not None:
            if tag_matches(outer, tag):
                return False
            outer = outer.getparent()
        return True

    def _record(self, element: Element) -> dict[str, Any]:
        try:
            return record_of(element)
        except RecursionError as error:
            raise ParseFailed(
                f"'{self._name}', record {self._count}: elements are nested too deeply", object=self._name
            ) from error

    def _drop(self, element: Element) -> None:
        """Free the record and all that stands before it, which nobody will ask for."""
        element.clear(keep_tail=True)
        for inner in (element, *element.iterancestors()):
            outer = inner.getparent()
            if outer is None:
                return
            while (before := inner.getprevious()) is not None:
                self._note_other(before)
                outer.remove(before)

    def _note_other(self, element: Element) -> None:
        """A told record tag is only right while nothing else repeats beside it."""
        if not self._layout.is_told or tag_matches(element, self._layout.record_tag):
            return
        local = str(element.tag).rpartition("}")[2]
        self._others[local] = self._others.get(local, 0) + 1
        if self._others[local] > 1:
            raise ParseFailed(
                f"'{self._name}' has repeated <{local}> beside <{self._layout.record_tag}>: which of them are the rows "
                f"is unclear; set record_tag",
                object=self._name,
            )

    def _require_records(self, root: Element) -> None:
        for child in root:
            self._note_other(child)
        if not self._count and len(root):
            inside = ", ".join(sorted({f"<{str(child.tag).rpartition('}')[2]}>" for child in root})[:10])
            raise ParseFailed(
                f"'{self._name}' has no element <{self._layout.record_tag}>; its root has {inside}. Check record_tag",
                object=self._name,
            )


def syntax_failure(error: Any, name: str, count: int, at_end: bool) -> ParseFailed | PartialFile | TooLarge:
    """Our error for what the parser says when `count` whole records were read, with line and column."""
    line, column = error.position
    if error.code == _NO_ELEMENT:
        return ParseFailed(
            f"'{name}' is not well-formed after record {count}: it may use an entity that XML does not define",
            object=name,
        )
    message = f"'{name}', line {line}, column {column}: {(error.msg or '').strip()}"
    if error.code == _TOO_LONG or "XML_PARSE_HUGE" in (error.msg or ""):
        return TooLarge(message, object=name, line=line)
    if at_end and error.code not in _WRONG_AT_THE_END:
        return PartialFile(f"The XML ends too early. {message}", object=name, line=line)
    return ParseFailed(message, object=name, line=line)


def record_of(element: Element) -> dict[str, Any]:
    """The element as a record of its attributes, its child elements and its text."""
    content = _content(element)
    members: dict[str, Any] = {}
    for key, value in element.items():
        if key != _NIL:
            _put(members, _attribute_key(element, key), value)
    if isinstance(content, str):
        if content and not content.isspace():
            _put(members, TEXT_KEY, content)
        return members
    if not members:
        return content
    for key, value in content.items():
        for one in value if isinstance(value, list) else (value,):
            _put(members, key, one)
    return members


def _value(element: Element) -> Any:
    """The value of a child element that has attributes or child elements itself."""
    keys = element.keys()
    if not keys:
        return _content(element)
    if _NIL in keys and not len(element):
        if element.get(_NIL) in ("true", "1"):
            return None
        if len(keys) == 1:
            return element.text or ""
    return record_of(element)


def _content(element: Element) -> dict[str, Any] | str:
    """The child elements; or the text; or, where text stands between the child elements, both as markup."""
    text = element.text
    if not len(element):
        return text or ""
    is_mixed = text is not None and not text.isspace()
    members: dict[str, Any] = {}
    prefix = element.prefix
    for child in element:
        value = _value(child) if len(child) or child.keys() else child.text or ""
        _put(members, _element_key(child, prefix), value)
        tail = child.tail
        if tail is not None and not tail.isspace():
            is_mixed = True
    return _inner_markup(element) if is_mixed else members


def _put(members: dict[str, Any], key: str, value: Any) -> None:
    if key not in members:
        members[key] = value
    elif isinstance(members[key], list):
        members[key].append(value)
    else:
        members[key] = [members[key], value]


def _inner_markup(element: Element) -> str:
    from lxml import etree

    children = "".join(etree.tostring(child, encoding="unicode") for child in element)
    return _escaped(element.text or "") + children


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _element_key(element: Element, own_prefix: str | None) -> str:
    tag = str(element.tag)
    if tag[0] != "{":
        return tag
    local, prefix = tag.rpartition("}")[2], element.prefix
    return local if prefix is None or prefix == own_prefix else f"{prefix}_{local}"


def _attribute_key(element: Element, key: str) -> str:
    if key[0] != "{":
        return key
    namespace, _, local = key[1:].rpartition("}")
    if namespace == _XML_NAMESPACE:
        return f"xml_{local}"
    prefix = next((prefix for prefix, uri in element.nsmap.items() if uri == namespace and prefix), None)
    return f"{prefix}_{local}" if prefix else local
