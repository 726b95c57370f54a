"""Source columns and their new names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import SchemaMismatch
from ingestion.model.pipeline import TransformationParams
from ingestion.steps.column_names import missing_columns, new_names
from ingestion_tests.steps.workbench import table_schema

NAME = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=60, deadline=None)
@given(columns=st.sets(NAME, min_size=1), mappings=st.dictionaries(NAME, st.sampled_from(["a", "A", "b", "x", "X"])))
def test_names_are_unique_or_refused(columns: set[str], mappings: dict[str, str]) -> None:
    source = table_schema(**dict.fromkeys(sorted(columns), "STRING"))
    wanted = [mappings.get(name, name).lower() for name in source.names]
    params = TransformationParams(column_mappings=mappings)
    if set(mappings) <= columns and len(set(wanted)) == len(wanted):
        assert [name.lower() for name in new_names(params, source).values()] == wanted
    else:
        with pytest.raises(SchemaMismatch, match="column_mappings"):
            new_names(params, source)


def test_case_does_not_count_and_names_may_be_exchanged() -> None:
    params = TransformationParams(column_mappings={"A": "b", "B": "a"})
    assert new_names(params, table_schema(a="STRING", b="STRING")) == {"a": "b", "b": "a"}


def test_missing_columns_are_named_with_those_that_are_there() -> None:
    error = missing_columns("drop", ["x"], table_schema(a="STRING", b="DATE"))
    assert error.message == "drop names x, but the columns are a, b"
