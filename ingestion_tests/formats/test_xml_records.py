from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import ExecutionFailure, ParseFailed, PartialFile, TooLarge
from ingestion.formats import xml_records as module
from ingestion.formats.xml_records import xml_records


def records(text: str | bytes, tag: str | None = None, step: int = 7) -> list[dict[str, Any]]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(xml_records((data[at : at + step] for at in range(0, len(data), step)), tag, "x.xml"))


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("<a><b>1</b><b>2</b></a>", None, [{"_text": "1"}, {"_text": "2"}]),
        ('<a><b i="1"/><b i=""/></a>', None, [{"i": "1"}, {"i": ""}]),
        ("<a><b><c>1</c><c>2</c><d/></b></a>", None, [{"c": ["1", "2"], "d": ""}]),
        ('<a><b c="1"><c>2</c></b></a>', None, [{"c": ["1", "2"]}]),
        (
            '<a><b><p cur="EUR">5</p><q><r>1</r></q></b></a>',
            "b",
            [{"p": {"cur": "EUR", "_text": "5"}, "q": {"r": "1"}}],
        ),
        ("<a><b><c><![CDATA[<x>&]]> &amp;</c></b></a>", None, [{"c": "<x>& &"}]),
        ("<a><b><c>Hello &lt; <i>you</i>!</c></b></a>", "b", [{"c": "Hello &lt; <i>you</i>!"}]),
        ("<a><b>x<i>y</i></b></a>", "b", [{"_text": "x<i>y</i>"}]),
        ("<a><b>\n <c> 5 </c>\n</b></a>", None, [{"c": " 5 "}]),
        ("<a><t/><b>1</b><b>2</b></a>", None, [{"_text": "1"}, {"_text": "2"}]),
        ("<a><b>1<b>2</b></b><c/></a>", "b", [{"_text": "1<b>2</b>"}]),
        ("<a><x><b>1</b></x><x><b>2</b></x></a>", "b", [{"_text": "1"}, {"_text": "2"}]),
        ("<b><c>1</c></b>", "b", [{"c": "1"}]),
        ("<a/>", None, []),
        ("<a/>", "b", []),
    ],
)
def test_elements_become_records(text: str, tag: str | None, expected: list[dict[str, Any]]) -> None:
    assert records(text, tag) == expected
    assert records(text, tag, step=1_000) == expected


def test_names_of_other_namespaces_carry_their_prefix() -> None:
    text = (
        '<r xmlns="urn:a" xmlns:m="urn:m" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<item m:id="1" xml:lang="de"><title>a</title><m:title>b</m:title><n xsi:nil="true"/></item></r>'
    )
    expected = {"m_id": "1", "xml_lang": "de", "title": "a", "m_title": "b", "n": None}
    assert records(text) == [expected]
    other = '<m:r xmlns:m="urn:m"><m:item><m:id>1</m:id></m:item><item/></m:r>'
    assert records(other, "m:item") == [{"id": "1"}]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<a><b>é</b></a>".encode("utf-16"), "é"),
        ('<?xml version="1.0" encoding="windows-1252"?><a><b>€</b></a>'.encode("cp1252"), "€"),
        (b"\xef\xbb\xbf" + "<a><b>ü</b></a>".encode(), "ü"),
    ],
)
def test_documents_say_how_they_are_encoded(data: bytes, expected: str) -> None:
    assert records(data, step=3) == [{"_text": expected}]


@pytest.mark.parametrize(
    ("text", "tag", "error", "said"),
    [
        ('<!-- --><!DOCTYPE a SYSTEM "file:///x"><a><b/></a>', None, ParseFailed, "DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "file:///x"><a><b/></a>'.encode("utf-16"), None, ParseFailed, "DOCTYPE"),
        ("<a><b>&foo;</b></a>", None, ParseFailed, "entity"),
        ("<a><b>1</b>\n<b>2</c></a>", None, ParseFailed, r"line 2, column \d+:"),
        ("<a><b>\x00</b></a>", None, ParseFailed, "line 1"),
        (b"<a><b>\xff</b></a>", None, ParseFailed, "line 1"),
        ("hello", None, ParseFailed, "line 1"),
        ("<a><b>1</b><c>2</c></a>", None, ParseFailed, "<b>, <c>; set record_tag"),
        ("<a><b><c><d/></c></b></a>", None, ParseFailed, "set record_tag"),
        ("<a><b/><b/><c/><c/></a>", None, ParseFailed, "set record_tag"),
        ("<a><b/></a>", "z", ParseFailed, "no element <z>; its root has <b>"),
        ("", None, PartialFile, "empty"),
        ("<a><b>1</b><b>", None, PartialFile, "line 1"),
        ("<a><b>1</b><b", None, PartialFile, "line 1"),
    ],
)
def test_what_is_no_document_of_records_is_refused(
    text: str | bytes, tag: str | None, error: type[ExecutionFailure], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        records(text, tag)
    assert "x.xml" in caught.value.message


def test_a_second_kind_of_row_far_down_is_refused() -> None:
    head = b"<a>" + (b"<b>" + b"1" * 200 + b"</b>") * 6_000  # More than what the record tag is told from.
    with pytest.raises(ParseFailed, match="repeated <c> beside <b>"):
        records(head + b"<c/><c/></a>", step=1 << 16)


def test_a_record_without_end_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge, match="line 1"):
        records(b"<a><b>" + b"x" * (12 << 20), "b", step=1 << 20)
    monkeypatch.setattr(module, "LONGEST_RECORD", 1 << 20)
    with pytest.raises(TooLarge, match="record 1"):
        records(b"<a><b>" + b"<c>x</c>" * 300_000, "b", step=1 << 16)


def test_memory_does_not_grow_with_the_document() -> None:
    row = b"<junk><x>" + b"y" * 1_000 + b"</x></junk><b><c>" + b"z" * 1_000 + b"</c></b>"

    def chunks() -> Iterator[bytes]:
        yield b"<a>"
        for _ in range(600):
            yield row * 100
        yield b"</a>"

    found = xml_records(chunks(), "b", "x.xml")
    assert len(next(found)["c"]) == 1_000
    before = _resident()
    assert sum(1 for _ in found) == 59_999
    assert _resident() - before < 30 << 20  # The document has 120 MB.


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
