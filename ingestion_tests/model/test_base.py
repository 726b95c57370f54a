from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingestion.model.base import StrictModel


class Sample(StrictModel):
    a: int = 1
    b: str | None = None


def test_only_what_was_set_is_given_back() -> None:
    assert Sample().given() == {}
    assert Sample(b=None).given() == {"b": None}
    assert Sample(a=1, b=" x ").given() == {"a": 1, "b": " x "}


def test_unknown_fields_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Sample.model_validate({"c": 1})
    with pytest.raises(ValidationError, match="frozen"):
        Sample().a = 2
