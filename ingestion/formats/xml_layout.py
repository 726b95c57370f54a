"""Which elements of an XML document are its records: the declared ones, or the obvious ones."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ingestion.errors import ParseFailed

Element = Any
"""An lxml element; the stubs of lxml know too little of it."""
NOTHING = "*"
"""The record tag of a document whose root has no child elements."""


@dataclass(frozen=True)
class Layout:
    """The tag of the records (`name` or `prefix:name`), and whether it was told from the document."""

    record_tag: str
    is_told: bool


def tag_matches(element: Element, record_tag: str) -> bool:
    """Whether the element has that local name and, when `record_tag` has one, that prefix."""
    prefix, _, local = record_tag.rpartition(":")
    return str(element.tag).rpartition("}")[2] == local and (not prefix or element.prefix == prefix)


def require_layout(head: bytes, record_tag: str | None, name: str, encoding: str | None) -> Layout:
    """The declared layout, else the one told from the first part of the document.

    Told are the children of the root when all have one name, or when only one name repeats. Raises ParseFailed
    when that is unclear, naming what could be set.
    """
    if record_tag is not None:
        return Layout(record_tag, is_told=False)
    root = _partial_root(head, encoding)
    if root is None:
        return Layout(NOTHING, is_told=True)  # What is wrong here shows when it is read.
    counts = Counter(str(child.tag).rpartition("}")[2] for child in root)
    repeated = [tag for tag, count in counts.items() if count > 1]
    if len(repeated) == 1:
        return Layout(repeated[0], is_told=True)
    if len(counts) == 1 and not _is_wrapper(root[0]):
        return Layout(next(iter(counts)), is_told=True)
    if not counts:
        return Layout(NOTHING, is_told=True)
    raise ParseFailed(
        f"Which elements of '{name}' are its rows is unclear: its root has "
        f"{', '.join(f'<{tag}>' for tag in sorted(counts)[:10])}; set record_tag",
        object=name,
    )


def _is_wrapper(element: Element) -> bool:
    """Whether an only child may be a box around the records: it holds elements that hold elements."""
    return any(len(child) for child in element)


def pull_parser(**how: Any) -> Any:
    """An lxml.etree.XMLPullParser that fetches and expands nothing and keeps libxml2's limits; `how` is the rest."""
    from lxml import etree

    return etree.XMLPullParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        **how,
    )


def _partial_root(head: bytes, encoding: str | None) -> Element | None:
    from lxml import etree

    parser = pull_parser(events=("start",), encoding=encoding)
    with contextlib.suppress(etree.XMLSyntaxError):  # The reading itself tells it, with the number of the record.
        parser.feed(head)
    first = next(iter(parser.read_events()), None)
    return None if first is None else first[1]
