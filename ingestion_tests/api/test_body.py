"""Bodies: one JSON object, without ambiguity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.body import DEEPEST_NESTING, parse_object
from ingestion.errors import InvalidRequest

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
)
_KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner), max_leaves=20)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES))
def test_any_json_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the body is not valid JSON: Expecting property name enclosed in double quotes at line 1 column 2"),
        (b'{"a": 1} x', "the body is not valid JSON: Extra data at line 1 column 10"),
        (b"[1]", "the body must be a JSON object, not [1]"),
        (b"null", "the body must be a JSON object, not None"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "c: the key is there more than once"),
        (b'{"a": NaN}', "the body is not valid JSON: NaN is not a JSON number"),
        (b'{"a": -Infinity}', "the body is not valid JSON: -Infinity is not a JSON number"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body holds a number with too many digits"),
        (b'{"a": "\xff"}', "the body is not valid UTF-8: invalid start byte at byte 7"),
        (
            b"\xef\xbb\xbf{}",
            "the body is not valid JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1 column 1",
        ),
    ],
)
def test_everything_else_is_refused_with_its_reason(content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_object(content)
    assert caught.value.message == message


@pytest.mark.parametrize("content", [b'{"a": "\\ud800"}', b'{"\\u0000": 1}', b'{"a": [{"b": ["x\\u0000"]}]}'])
def test_text_that_no_database_stores_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        parse_object(content)


def test_nesting_has_a_limit() -> None:
    inner = DEEPEST_NESTING - 1
    parse_object(b'{"a": ' + b"[" * inner + b"]" * inner + b"}")
    for depth in (inner + 1, 100_000):
        with pytest.raises(InvalidRequest, match="nested deeper than 64 levels"):
            parse_object(b'{"a": ' + b"[" * depth + b"]" * depth + b"}")
