"""The record splitter against Python's csv module, and what it refuses."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.formats import records as module
from ingestion.formats.records import Dialect, RecordParser, records

COMMA = Dialect(",", '"', '"')
CELL = st.one_of(
    st.text(st.sampled_from('a,;"\n\r\\ é'), max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)


def written(rows: list[list[str]], quoting: int, escape: str | None, end: str) -> str:
    out = io.StringIO()
    writer = csv.writer(
        out, lineterminator=end, quoting=quoting, escapechar=escape, doublequote=escape is None  # type: ignore[arg-type]
    )  # fmt: skip
    writer.writerows(rows)
    return out.getvalue().removesuffix(end)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=8),
    # Python's minimal quoting knows the line ends of "\r\n" only; it escapes outside quotes too, which this does not.
    how=st.sampled_from(
        [(csv.QUOTE_ALL, None, "\n"), (csv.QUOTE_MINIMAL, None, "\r\n"), (csv.QUOTE_ALL, "\\", "\r\n")]
    ),
)
def test_what_pythons_csv_writes_is_read_back(rows: list[list[str]], how: tuple[int, str | None, str]) -> None:
    text = written(rows, *how)
    found = [record for record, _ in records(text.split("\n"), Dialect(",", '"', how[1] or '"'))]
    assert [list(record.cells) for record in found] == rows
    assert how[2].join(record.text for record in found) == text


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from('ab,"\n\r'), max_size=30))
def test_every_line_is_in_exactly_one_record_whatever_it_holds(text: str) -> None:
    lines = text.split("\n")
    used_before = 0
    for record, used in records(lines, COMMA):
        assert record.text == "\n".join(lines[used_before:used]).removesuffix("\r")
        assert (record.error is None) == bool(record.cells)
        used_before = used
    assert used_before == len(lines)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('a,"b', "UNCLOSED_QUOTE"),
        ('"a"b,c', "BAD_QUOTES"),
        ('"a" ,c', "BAD_QUOTES"),
        ('"a"\r,c', "BAD_QUOTES"),
        ("a\rb,c", "STRAY_LINE_END"),
        ('a\rb,"c"', "STRAY_LINE_END"),
    ],
)
def test_what_is_not_written_as_the_dialect_says_is_an_error(text: str, code: str) -> None:
    ((record, _),) = records([text], COMMA)
    assert record.error is not None
    assert (record.error[0], record.cells, record.text) == (code, (), text)


@pytest.mark.parametrize(
    ("dialect", "text", "cells", "quoted"),
    [
        (COMMA, 'a "b",,""', ['a "b"', "", ""], [2]),
        (COMMA, '"a""b",","\r', ['a"b', ","], [0, 1]),
        (Dialect("||", "'", "'"), "a|b||'c||d'", ["a|b", "c||d"], [1]),
        (Dialect(",", "", ""), 'a,"b,c"', ["a", '"b', 'c"'], []),
        (Dialect(",", '"', ""), '"a""b"', ['a"b'], [0]),
        (Dialect(",", '"', "\\"), '"a\\"\\\\b\\n",\\,', ['a"\\bn', "\\", ""], [0]),
    ],
)
def test_dialects(dialect: Dialect, text: str, cells: list[str], quoted: list[int]) -> None:
    ((record, used),) = records([text], dialect)
    assert (list(record.cells), list(record.quoted), used, record.error) == (cells, quoted, 1, None)


def test_a_quote_open_for_too_long_gives_back_the_lines_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_ROW", 10)
    lines = ['"open', "12345678", "next,row"]
    (first, used), (second, _) = records(lines, COMMA)
    assert first.error is not None
    assert (first.error[0], first.text, used) == ("ROW_TOO_LONG", '"open\n12345678', 2)
    assert second.cells == ["next", "row"]


def test_the_parser_takes_no_more_lines_than_the_record_has() -> None:
    lines = iter(['b"', "rest"])
    assert RecordParser(COMMA, lines).parse('"a').cells == ["a\nb"]
    assert list(lines) == ["rest"]
