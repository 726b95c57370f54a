"""JSON text cut into rows of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import ParseFailed, PartialFile
from ingestion.formats.json_text import BadJson, JsonRow, document_rows, line_rows, parse_row

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ROW = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUE, max_size=4)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@settings(max_examples=60, deadline=None)
@given(row=ROW, indent=st.sampled_from([None, 2]), is_ascii=st.booleans())
def test_tokens_are_the_members_as_they_were_written(
    row: dict[str, object], indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(row, indent=indent, ensure_ascii=is_ascii)
    try:
        text.encode()
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        assert isinstance(parse_row(text, 1), BadJson) or not is_ascii
        return
    found = parse_row(text, 7)
    assert isinstance(found, JsonRow)
    assert found.number == 7
    assert {name: json.loads(token) for name, token in found.tokens.items()} == row
    assert all(token in text for token in found.tokens.values())


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(ROW, max_size=4), size=st.integers(1, 9), before=st.sampled_from(["1.5", "1e+5", '"x\\u00e9"', "[]"])
)
def test_where_the_text_is_cut_into_pieces_does_not_matter(
    rows: list[dict[str, object]], size: int, before: str
) -> None:
    text = f'{{"n": {before}, "rows": {json.dumps(rows)}, "end": null}}'
    found = list(document_rows(pieces(text.encode(), size), "f", "rows"))
    whole = list(document_rows(iter([text.encode()]), "f", "rows"))
    assert found == whole
    assert [row.number for row in found] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("element", ["1.5", "-0.25e-10", "1E+9", "true", "null", '"a"'])
def test_an_element_cut_in_its_middle_is_whole(element: str) -> None:
    data = f"[{element}, {element}]".encode()
    for size in range(1, len(data)):
        found = list(document_rows(pieces(data, size), "f", None))
        assert [row.raw for row in found if isinstance(row, BadJson)] == [element, element]


@pytest.mark.parametrize(
    "text",
    ['{"a": 1 "rows": []}', '{"a": 1, "rows" []}', '{"a" "rows": []}', '{"a": 1,, "rows": []}', '{"a": 1} "rows"'],
)
def test_a_document_that_is_not_json_before_its_rows_is_refused(text: str) -> None:
    with pytest.raises(ParseFailed):
        list(document_rows(iter([text.encode() + b" " * 20]), "f", "rows"))


@pytest.mark.parametrize("cut", [1, 5, 12, 20, 25])
def test_a_document_that_ends_early_is_partial(cut: int) -> None:
    data = b'{"n": 1.5, "rows": [{"a": 1}]}'[:-2][:cut]
    with pytest.raises(PartialFile, match="ends too early"):
        list(document_rows(iter([data]), "f", "rows"))


def test_an_error_names_its_line() -> None:
    with pytest.raises(ParseFailed, match="line 3") as caught:
        list(document_rows(pieces(b'[\n{"a": 1},\n{a: 2}, {"b": "0123456789 0123456789"}]', 4), "f", None))
    assert caught.value.facts["line"] == 3


def test_lines_are_numbered_and_blank_ones_do_not_count() -> None:
    found = list(line_rows(iter([b'{"a": 1}\r\n', b"  \n", b"\xff\n", b"5", b'{"a": NaN}'])))
    assert [(row.number, getattr(row, "error_code", None)) for row in found] == [
        (1, None),
        (3, "INVALID_ENCODING"),
        (4, "NOT_AN_OBJECT"),
        (5, "INVALID_JSON"),
    ]


def test_a_very_deep_value_is_no_crash() -> None:
    found = parse_row('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", 1)
    assert isinstance(found, BadJson)
    assert found.error_code == "INVALID_JSON"
