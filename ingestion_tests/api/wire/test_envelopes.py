from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api.wire.envelopes import Acknowledged, Failure, Instant, PageOf, ProblemDetails, Success

BASE: dict[str, Any] = {"status": "success", "message": "done", "metadata": {}}
PAGE = {"page": 1, "page_size": 20, "total_items": 0, "total_pages": 0}


def test_each_envelope_takes_exactly_its_own_fields() -> None:
    assert Acknowledged.model_validate(BASE).message == "done"
    assert Success[int].model_validate(BASE | {"data": 5}).data == 5
    assert PageOf[int].model_validate(BASE | {"items": [], "pagination": PAGE}).pagination.page == 1
    for model, body in (
        (Acknowledged, BASE | {"data": {}}),
        (Acknowledged, BASE | {"metadata": {"x": 1}}),
        (Success[int], BASE),
        (PageOf[int], BASE | {"items": [], "pagination": PAGE | {"page_size": 101}}),
        (Failure, {"status": "error", "error": "X", "message": "y", "metadata": {}}),
        (Failure, {"status": "success", "error": "X", "message": "y"}),
    ):
        with pytest.raises(ValidationError):
            model.model_validate(body)


def test_problem_details_may_say_more() -> None:
    body = {"type": "about:blank", "title": "t", "status": 400, "detail": "d", "code": "X", "errors": []}
    assert ProblemDetails.model_validate(body).model_dump() == body


def test_times_are_utc_in_whole_seconds() -> None:
    adapter = TypeAdapter(Instant)
    assert adapter.validate_python("2023-06-15T10:30:00Z") == "2023-06-15T10:30:00Z"
    for other in ("2023-06-15T10:30:00+00:00", "2023-06-15T10:30:00.1Z", "2023-06-15"):
        with pytest.raises(ValidationError):
            adapter.validate_python(other)
