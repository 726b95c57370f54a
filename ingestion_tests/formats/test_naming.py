from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingestion.formats.naming import unique_names


def test_names_are_made_unique_in_order() -> None:
    assert unique_names(["a", " A ", "", "a", "a_2"]) == ["a", "A_3", "f2", "a_4", "a_2"]


@given(st.lists(st.text(max_size=5)))
def test_names_are_unique_without_regard_to_case_and_never_empty(names: list[str]) -> None:
    result = unique_names(names)
    assert len({name.lower() for name in result}) == len(names)
    assert all(result)
    assert result == unique_names(names)
