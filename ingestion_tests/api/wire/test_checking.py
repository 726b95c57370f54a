"""Strictness and completeness of checks on what clients send."""

from __future__ import annotations

from typing import Any

import pytest

from api.wire import sources
from api.wire.checking import checked, examined, read_only_problems
from api.wire.sources import SourceBody
from ingestion.errors import InvalidRequest

BODY = {"name": "s", "source_type": "GCS", "connection_details": {}}


@pytest.mark.parametrize("value", ["5", True, None, [], float("nan"), float("inf")])
def test_only_json_s_own_numbers_are_numbers(value: Any) -> None:
    found, (problem,) = examined(sources.TestParameters, {"timeout_seconds": value})
    assert found is None
    assert problem.field == "timeout_seconds"


@pytest.mark.parametrize("value", [1, 0.5, 120])
def test_whole_numbers_are_numbers_too(value: float) -> None:
    assert checked(sources.TestParameters, {"timeout_seconds": value}).timeout_seconds == value


def test_every_problem_is_named_where_it_is() -> None:
    _, problems = examined(SourceBody, {"name": 5, "source_type": "FTP", "extra": 1}, "body")
    assert [problem.field for problem in problems] == [
        "body.name",
        "body.source_type",
        "body.connection_details",
        "body.extra",
    ]
    with pytest.raises(InvalidRequest) as caught:
        checked(SourceBody, [])
    assert len(caught.value.problems) == 1


def test_read_only_fields_may_have_their_present_values() -> None:
    now = BODY | {"source_id": "1", "status": "UNKNOWN"}
    assert read_only_problems(now | {"name": "other"}, now, SourceBody) == []
    problems = read_only_problems({"source_id": "2", "nme": 1}, now, SourceBody)
    assert [problem.field for problem in problems] == ["source_id", "nme"]
    assert "is read-only and has the value '1'" in problems[0].message
    assert "known fields are name" in problems[1].message
