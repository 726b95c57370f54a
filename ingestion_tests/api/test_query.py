"""Query parameters: every problem at once, and times in all the ways clients write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api.query import QueryReader, parse_instant
from ingestion.errors import InvalidRequest
from ingestion.model.source import SourceType
from ingestion.store import Page


def problems(reader: QueryReader) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        reader.finish()
    return [str(problem) for problem in caught.value.problems]


def test_paging_has_defaults() -> None:
    reader = QueryReader({})
    assert reader.page() == Page(1, 20)
    reader.finish()


@pytest.mark.parametrize("value", ["0", "-1", "101", "1.5", "", "ten", "1_0", "٣", "1" * 5000])
def test_a_page_size_out_of_bounds_is_refused(value: str) -> None:
    reader = QueryReader({"page_size": value})
    reader.page()
    (problem,) = problems(reader)
    assert problem.startswith("page_size: ")
    assert "between 1 and 100" in problem


def test_all_problems_are_named_at_once() -> None:
    reader = QueryReader({"page": "0", "page_size": "x", "source_type": "FTP", "is_active": "maybe"})
    reader.page()
    assert reader.choice("source_type", SourceType) is None
    assert reader.boolean("is_active") is None
    assert problems(reader) == [
        "page: must be between 1 and 1000000000, not 0",
        "page_size: 'x' is not an integer between 1 and 100",
        "source_type: 'FTP' is not one of GCS, CLOUD_SQL, BIGQUERY, API, SFTP, CUSTOM",
        "is_active: 'maybe' is not one of true, false",
    ]


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("1", True), ("FALSE", False), ("0", False)]
)
def test_booleans_of_all_languages(text: str, value: bool) -> None:
    assert QueryReader({"is_active": text}).boolean("is_active") is value


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2023-06-15", "2023-06-15T00:00:00", "2023-06-15T23:59:59.999999"),
        ("2023-06-15T17:30:00Z", "2023-06-15T17:30:00", "2023-06-15T17:30:00.999999"),
        ("2023-06-15T17:30:00", "2023-06-15T17:30:00", "2023-06-15T17:30:00.999999"),
        ("2023-06-15 17:30", "2023-06-15T17:30:00", "2023-06-15T17:30:00.999999"),
        ("2023-06-15T17:30:00+02:00", "2023-06-15T15:30:00", "2023-06-15T15:30:00.999999"),
        ("2023-06-15T17:30:00 02:00", "2023-06-15T15:30:00", "2023-06-15T15:30:00.999999"),
        ("2023-06-15T17:30:00.25Z", "2023-06-15T17:30:00.25", "2023-06-15T17:30:00.25"),
    ],
)
def test_times_as_the_start_and_as_the_end_of_a_period(text: str, start: str, end: str) -> None:
    assert parse_instant(text, is_end=False) == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert parse_instant(text, is_end=True) == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2023-02-30", "", "2023-06-15T25:00:00", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    reader = QueryReader({"start_date": text})
    assert reader.period("start_date", "end_date") == (None, None)
    (problem,) = problems(reader)
    assert problem.startswith(f"start_date: {text!r} is not an ISO 8601 date or date-time")


def test_a_period_ends_after_it_starts() -> None:
    same_day = QueryReader({"start_date": "2023-06-15T12:00:00Z", "end_date": "2023-06-15"})
    same_day.period("start_date", "end_date")
    same_day.finish()
    reader = QueryReader({"start_date": "2023-06-15", "end_date": "2023-06-14"})
    reader.period("start_date", "end_date")
    assert problems(reader) == ["end_date: '2023-06-14' lies before start_date '2023-06-15'"]
