"""`extraction_params` of APIs, and how their pages are described: what cannot work is refused when it is saved."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import ApiConnection
from ingestion.model.extraction import ApiExtraction

SOURCE = ApiConnection(endpoint_url="https://h/v1")
GOOD = {
    "path": "orders/{{ds}}",
    "params": {"status": "open", "since": "{{start_date}}"},
    "data_path": "data.orders[].items[]",
    "parent_columns": {"order_id": "data.orders[].id"},
    "pagination": {"type": "cursor", "cursor_param": "c", "cursor_path": "next"},
    "incremental_key": "at",
    "cursor_param": "since",
    "cursor_format": "epoch_millis",
    "primary_key": ["id", "line"],
}


def test_what_can_work() -> None:
    params = ApiExtraction.model_validate(GOOD)
    assert params.problems(SOURCE, "p") == []
    assert (params.cursor_column, params.key_columns, params.may_know_keys) == ("at", ("id", "line"), False)
    assert params.http_method == "GET"
    assert ApiExtraction.model_validate({"query": "{a}", "data_path": "data.a"}).http_method == "POST"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "https://elsewhere/x"}, "must be a path below"),
        ({"path": "a/../../b"}, "must not leave"),
        ({"path": "x/{{yesterday}}"}, "unknown macro 'yesterday'"),
        ({"data_path": "data..x"}, "no step of a path"),
        ({"headers": {"Host": "x"}}, "written by the client itself"),
        ({"headers": {"X": "a\nb"}}, "line breaks"),
        ({"headers": {"Authorization": "Bearer abc"}}, "must be a secret reference"),
        ({"cursor_format": "unix"}, "is not one of iso, date"),
        ({"pagination": {"type": "cursor"}}, "needs cursor_param and cursor_path"),
        ({"pagination": {"type": "page", "cursor_param": "x"}}, "cursor_param has no meaning for type page"),
        ({"pagination": {"type": "offset", "page_size_param": "n"}}, "needs a page_size to send"),
        ({"pagination": {"type": "pages"}}, "pagination"),
        ({"wrong": 1}, "wrong"),
    ],
)
def test_what_no_source_can_do(changes: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ApiExtraction.model_validate(GOOD | changes)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"body": {"a": 1}, "method": "GET"}, "body", "cannot be sent with method GET"),
        ({"params": {"a": "{{nope}}"}}, "params", "unknown macro 'nope'"),
        ({"params": {"api_key": "abc"}}, "params.api_key", "plain text"),
        ({"query": "{a}", "data_path": None, "parent_columns": None}, "data_path", "is needed with a query"),
        ({"query": "{a(d: {{ds}})}"}, "query", "put the macro into variables"),
        ({"query": "{a}", "body": {}}, "body", "use variables"),
        ({"variables": {"a": 1}}, "variables", "needs a GraphQL query"),
        ({"record_tag": "row"}, "data_path", "is for JSON"),
        ({"record_tag": "row", "response_format": "JSON"}, "record_tag", "is for XML"),
        ({"parent_columns": {"x": "id"}}, "parent_columns.x", "is no path such as orders"),
        ({"parent_columns": {"x": "other[].id"}}, "parent_columns.x", "is no path"),
        ({"incremental_key": None}, "cursor_param", "needs an incremental_key"),
        ({"cursor_param": None, "until_param": "to"}, "until_param", "needs a cursor_param"),
        ({"pagination": {"type": "graphql"}}, "pagination.type", "needs a query"),
        ({"pagination": {"type": "page", "param_in": "body"}}, "pagination.param_in", "needs method POST"),
    ],
)
def test_what_cannot_work_on_a_source(changes: Any, field: str, words: str) -> None:
    problems = ApiExtraction.model_validate(GOOD | changes).problems(SOURCE, "p")
    assert any(problem.field == f"p.{field}" and words in problem.message for problem in problems), problems
