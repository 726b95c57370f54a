from __future__ import annotations

from api.examples import error_example, examples
from api.table import ENDPOINTS


def test_every_endpoint_has_an_answer_and_a_request_where_it_takes_one() -> None:
    for endpoint in ENDPOINTS:
        found = examples()[endpoint.summary]
        assert found["response"]["status"] == "success"
        if endpoint.request is not None and not endpoint.body_may_be_empty:
            assert found["request"]


def test_the_error_has_exactly_the_three_fields() -> None:
    assert list(error_example()) == ["status", "error", "message"]


def test_they_are_read_once() -> None:
    assert examples() is examples()
