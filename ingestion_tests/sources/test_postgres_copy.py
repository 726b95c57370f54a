"""Rows in COPY's text form."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.sources.postgres_copy import NULL, parsed_row

_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
CELL = st.none() | st.text(st.sampled_from('\\Nbfnrtv\b\f\n\r\t\v"é a'), max_size=8)


def sent(cells: list[str | None]) -> bytes:
    """A row as the server writes it."""
    texts = (NULL if cell is None else "".join(_ESCAPES.get(char, char) for char in cell) for cell in cells)
    return ("\t".join(texts) + "\n").encode()


@settings(max_examples=100, deadline=None)
@given(st.lists(CELL, min_size=1, max_size=5))
def test_every_value_comes_back_and_null_stays_apart(cells: list[str | None]) -> None:
    texts, literal_nulls = parsed_row(sent(cells))
    found = [None if text == NULL and place not in literal_nulls else text for place, text in enumerate(texts)]
    assert found == cells
