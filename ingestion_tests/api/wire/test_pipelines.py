from __future__ import annotations

import pytest

from api.wire.checking import checked, examined
from api.wire.pipelines import PipelineBody, PipelineChanges, PipelineShown, definition_of, show_pipeline
from ingestion_tests.store.samples import a_pipeline


def test_what_is_shown_has_the_model_s_fields_in_its_order() -> None:
    shown = show_pipeline(a_pipeline())
    assert list(shown) == list(PipelineShown.model_fields)
    assert PipelineShown.model_validate(shown).model_dump() == shown
    assert shown["created_at"] == "2023-06-15T10:30:00Z"


def test_the_definition_is_what_a_client_may_send_back() -> None:
    definition = definition_of(a_pipeline())
    assert checked(PipelineBody, definition).model_dump() == definition
    assert list(PipelineChanges.model_fields) == list(PipelineBody.model_fields)


@pytest.mark.parametrize("name", ["", " ", "x" * 256])
def test_names_have_a_length(name: str) -> None:
    _, problems = examined(PipelineBody, definition_of(a_pipeline()) | {"pipeline_name": name})
    assert [problem.field for problem in problems] == ["pipeline_name"]
