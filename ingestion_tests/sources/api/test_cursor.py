"""Incremental reading: nothing twice, nothing lost, and bounds as the API wants them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ingestion.errors import QueryFailed
from ingestion.model.execution import ExecutionParams
from ingestion.sources.api.cursor import formatted
from ingestion.sources.base import Cursor
from ingestion_tests.servers.http_api import HttpApi, document
from ingestion_tests.sources.api.conftest import Extracts, ids

CHANGES = [
    {"id": 1, "changed": "2026-11-01T10:00:00Z"},
    {"id": 2, "changed": "2026-11-02T10:00:00.5+02:00"},
    {"id": 3, "changed": None},
    {"id": 4, "changed": "2026-11-03T00:00:00Z"},
]
INCREMENTAL: dict[str, Any] = {"incremental_key": "changed", "cursor_param": "since", "until_param": "until"}


@pytest.fixture(autouse=True)
def changes(http_api: HttpApi) -> None:
    http_api.always["/changes"] = document(CHANGES)


def test_the_first_read_takes_all_and_tells_the_greatest(http_api: HttpApi, extracts: Extracts) -> None:
    extraction = extracts("changes", **INCREMENTAL, initial_value="2020-01-01")
    assert ids(extracts.rows(extraction)) == [1, 2, 3, 4]
    assert extraction.cursor == Cursor("changed", "2026-11-03T00:00:00.000000Z")
    assert http_api.seen[0].query == {"since": "2020-01-01", "until": "2026-11-24T10:30:00+00:00"}


def test_rows_before_the_cursor_are_left_out_even_when_they_are_sent(http_api: HttpApi, extracts: Extracts) -> None:
    """The bound is included; rows without a key come every time."""
    cursor = Cursor("changed", "2026-11-02T08:00:00.500000Z")
    extraction = extracts("changes", request={"cursor": cursor}, **INCREMENTAL, cursor_format="epoch_millis")
    assert sorted(ids(extracts.rows(extraction))) == [2, 3, 4]
    assert extraction.rows == 3
    assert http_api.seen[0].query["since"] == "1793606400500"


def test_no_cursor_lies_after_the_beginning_of_the_read(http_api: HttpApi, extracts: Extracts) -> None:
    """A row changed while pages are read may have been on a page that was read before."""
    http_api.always["/changes"] = document([*CHANGES, {"id": 5, "changed": "2099-01-01T00:00:00Z"}])
    extraction = extracts("changes", **INCREMENTAL)
    assert 5 in ids(extracts.rows(extraction))
    assert extraction.cursor is not None
    assert extraction.cursor.value <= "2026-11-24T10:30:00.000000Z"


def test_days_are_kept_to_and_move_no_cursor(http_api: HttpApi, extracts: Extracts) -> None:
    days = ExecutionParams(start_date=date(2026, 11, 2), end_date=date(2026, 11, 2))
    extraction = extracts("changes", request={"execution": days}, **INCREMENTAL, cursor_format="date")
    assert sorted(ids(extracts.rows(extraction))) == [2, 3]
    assert extraction.cursor is None
    assert http_api.seen[0].query == {"since": "2026-11-02", "until": "2026-11-03"}
    with pytest.raises(QueryFailed, match="date or timestamp, but 'id' is INTEGER"):
        extracts("changes", request={"execution": days}, incremental_key="id")


def test_numbers_and_nothing_new(http_api: HttpApi, extracts: Extracts) -> None:
    params: dict[str, Any] = {"incremental_key": "id", "cursor_param": "after"}
    extraction = extracts("changes", request={"cursor": Cursor("id", "3")}, **params)
    assert ids(extracts.rows(extraction)) == [3, 4]
    assert extraction.cursor == Cursor("id", "4")
    http_api.always["/changes"] = document([])
    extraction = extracts("changes", request={"cursor": Cursor("id", "4")}, **params)
    assert (extraction.rows, extraction.cursor) == (0, Cursor("id", "4"))


def test_the_bound_of_a_graphql_query_is_a_variable(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/graphql"] = document({"data": {"rows": CHANGES}})
    query: dict[str, Any] = {"query": "query($since: String){rows(since:$since){id changed}}", "data_path": "data.rows"}
    cursor = Cursor("changed", "2026-11-03T00:00:00.000000Z")
    extraction = extracts(
        "graphql", request={"cursor": cursor}, **query, incremental_key="changed", cursor_param="since"
    )
    assert ids(extracts.rows(extraction)) == [3, 4]
    assert b'"since":"2026-11-03T00:00:00Z"' in http_api.seen[0].body


def test_macros_are_bound_in_params_and_body(http_api: HttpApi, extracts: Extracts) -> None:
    params = {"day": "{{ds}}", "n": 5, "on": True, "tags": ["a", "b"]}
    extracts("changes", params=params, body={"range": ["{{start_date}}"]}, method="POST")
    seen = http_api.seen[0]
    assert (seen.query["day"], seen.query["n"], seen.query["on"]) == ("2026-11-24", "5", "true")
    assert seen.body == b'{"range":["2026-11-24"]}'


@pytest.mark.parametrize(
    ("value", "form", "sent"),
    [
        ("2026-11-02T08:00:00.500000Z", None, "2026-11-02T08:00:00.500000Z"),
        ("2026-11-02T08:00:00.000000Z", None, "2026-11-02T08:00:00Z"),
        ("2026-11-02T08:00:00.500000Z", "epoch_seconds", 1793606400),
        ("2026-11-02T10:00:00+02:00", "iso", "2026-11-02T08:00:00Z"),
        ("2026-11-02", "%d.%m.%Y", "02.11.2026"),
        ("41", None, "41"),
    ],
)
def test_forms_of_bounds(value: str, form: str | None, sent: Any) -> None:
    assert formatted(value, form) == sent


def test_a_form_of_times_for_what_is_no_time() -> None:
    with pytest.raises(QueryFailed, match="is for times"):
        formatted("abc", "iso")
