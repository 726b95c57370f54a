"""Delimiter and header told from a file's first lines."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import ParseFailed
from ingestion.formats.dialect import Layout, layout_of
from ingestion.model.extraction import FileExtraction


def layout(
    *lines: str, extension: str = ".csv", declared: tuple[str, ...] = (), is_whole: bool = True, **params: Any
) -> Layout:
    return layout_of(lines, "f", FileExtraction.model_validate(params), extension, declared, is_whole)


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a,b", "1,2"], ","),
        (["a;b", "1,5;2,5"], ";"),
        (["a\tb", "x,y\tz"], "\t"),
        (["a|b", "1|2"], "|"),
        (['"a;b",c', '"1;2",3'], ","),
        (["a,b;c", "1,2;3", "4,5", "6,7"], ","),
        (["only"], ","),
        ([], ","),
        (["note", "a;b", "c;d"], ","),
    ],
)
def test_the_delimiter_is_told(lines: list[str], delimiter: str) -> None:
    assert layout(*lines).dialect.delimiter == delimiter


def test_what_is_given_wins() -> None:
    assert layout("a,b", field_delimiter="tab").dialect.delimiter == "\t"
    assert layout("a,b", extension=".tsv").dialect.delimiter == "\t"
    assert layout("a,b", extension=".tsv", field_delimiter=",").names == ["a", "b"]
    dialect = layout("a,b", quote="'", escape="\\").dialect
    assert (dialect.quote, dialect.escape) == ("'", "\\")
    assert layout("a,b", quote="'").dialect.escape == "'"
    assert layout("a,b", quote="").dialect.quote == ""


def test_two_delimiters_that_both_fit_are_unclear() -> None:
    with pytest.raises(ParseFailed, match="',', ';'; set field_delimiter"):
        layout("a,b;c", "1,2;3")


def test_the_lines_before_the_first_row_are_counted() -> None:
    assert layout("a,b", "1,2").lines == 1
    assert layout("", "\r", "a,b", "1,2").lines == 3
    assert layout("a report", "of today", "a,b", "1,2", skip_header_rows=3).lines == 3
    assert layout('"a', 'b",c', "1,2").names == ["a\nb", "c"]
    assert layout('"a', 'b",c', "1,2").lines == 2


def test_without_a_header_names_are_declared_or_numbered() -> None:
    assert layout("1,2,3", skip_header_rows=0).names == ["f0", "f1", "f2"]
    found = layout("1,2", skip_header_rows=0, declared=("x", "y"))
    assert (found.names, found.lines) == (["x", "y"], 0)


@pytest.mark.parametrize("cell", ["5", "-1.5", "1,5", "2024-01-31", "31/01/2024", "1e9", " 7 "])
def test_a_header_of_data_is_refused(cell: str) -> None:
    with pytest.raises(ParseFailed, match="skip_header_rows"):
        layout(f"name;{cell}", "x;1")
    assert layout(f"name;{cell}", "x;1", skip_header_rows=1).names[0] == "name"


@pytest.mark.parametrize("cell", ["q1", "2024_total", "1st", "a-b", ""])
def test_names_with_digits_are_names(cell: str) -> None:
    assert len(layout(f"name;{cell}", "x;1").names) == 2


def test_a_header_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ParseFailed, match="no readable header"):
        layout('"a"b,c', "1,2")
    with pytest.raises(ParseFailed, match="no end of its header"):
        layout("a,b", is_whole=False)


@pytest.mark.parametrize("skipped", [None, 1])
def test_a_header_in_another_encoding_asks_for_it(skipped: int | None) -> None:
    line = b"caf\xe9,b".decode("utf-8", "surrogateescape")
    with pytest.raises(ParseFailed, match=r"not UTF-8: 'caf.*xe9'. Set encoding"):
        layout(line, "1,2", skip_header_rows=skipped)
