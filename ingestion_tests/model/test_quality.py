from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.quality import CheckSpec, QualityParams, Severity


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"check": "not_null", "column": "a"}, "not_null_a"),
        ({"check": "unique", "columns": ["a", "b"]}, "unique_a_b"),
        ({"check": "unique", "column": "a"}, "unique_a"),
        ({"check": "accepted_values", "column": "a", "values": [1, None]}, "accepted_values_a"),
        ({"check": "range", "column": "a", "min": 0}, "range_a"),
        ({"check": "regex", "column": "a", "pattern": "^x"}, "regex_a"),
        ({"check": "row_count", "max": 5}, "row_count"),
        ({"check": "expression", "expression": "a > b", "name": "a over b"}, "a over b"),
    ],
)
def test_checks_and_their_titles(given: dict[str, Any], title: str) -> None:
    spec = CheckSpec.model_validate(given)
    assert spec.title == title
    assert (spec.severity, spec.mostly) == (Severity.ERROR, 1.0)
    assert spec.given() == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"check": "not_null"}, "the not_null check needs column"),
        ({"check": "accepted_values"}, "needs column and values"),
        ({"check": "accepted_values", "column": "a", "values": ()}, "at least 1 item"),
        ({"check": "unique"}, "either column or columns"),
        ({"check": "unique", "column": "a", "columns": ["b"]}, "either column or columns"),
        ({"check": "range", "column": "a"}, "needs min or max"),
        ({"check": "row_count"}, "needs min or max"),
        ({"check": "expression"}, "needs expression"),
        ({"check": "is_nice", "column": "a"}, "not_null"),
        ({"check": "not_null", "column": "a", "mostly": 0}, "mostly"),
        ({"check": "not_null", "column": "a", "mostly": 1.1}, "mostly"),
        ({"check": "not_null", "column": "a", "severity": "fatal"}, "warn"),
    ],
)
def test_checks_that_cannot_work(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        QualityParams.model_validate({"checks": [given]})
