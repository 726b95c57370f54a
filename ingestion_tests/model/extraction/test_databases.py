from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import CloudSqlConnection
from ingestion.model.extraction.databases import DatabaseExtraction, NullCursor
from ingestion.model.problems import problems_of

CONNECTION = CloudSqlConnection.model_validate({"host": "db", "database": "shop", "engine": "POSTGRESQL"})


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        ({"lookback": 0}, "lookback: 0 is neither a whole number above 0 nor a span of time such as '2 hours'"),
        ({"lookback": True}, "lookback: True is neither a whole number above 0 nor a span of time such as '2 hours'"),
        ({"lookback": 1.5}, "lookback: 1.5 is neither a whole number above 0 nor a span of time such as '2 hours'"),
        ({"lookback": "soon"}, "lookback: 'soon' is not a span of time such as '2 hours'; the units are "),
        ({"null_cursor": "drop"}, "null_cursor: 'drop' is not one of 'read', 'skip', 'fail'"),
        ({"partitions": 1}, "partitions: input should be greater than or equal to 2"),
        ({"partitions": 33}, "partitions: input should be less than or equal to 32"),
        ({"deleted_column": ""}, "deleted_column: string should have at least 1 character"),
    ],
)
def test_what_cannot_be_meant(sent: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DatabaseExtraction.model_validate({"table": "t", "incremental_key": "at", "partition_column": "id", **sent})
    (found,) = problems_of(caught.value, DatabaseExtraction)
    assert str(found).startswith(problem)


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        ({"table": "t", "lookback": 5}, ["p.lookback"]),
        ({"table": "t", "null_cursor": "skip"}, ["p.null_cursor"]),
        ({"table": "t", "partitions": 2}, ["p.partitions"]),
        ({"table": "t", "query": "SELECT 1"}, ["p"]),
        ({"partition_column": "id", "deleted_column": "gone"}, ["p"]),
        ({"table": "t", "incremental_key": "at", "lookback": "1 day", "null_cursor": "fail"}, []),
    ],
)
def test_what_does_not_go_together(sent: dict[str, Any], fields: list[str]) -> None:
    problems = DatabaseExtraction.model_validate(sent).problems(CONNECTION, "p")
    assert [problem.field for problem in problems] == fields


def test_what_is_meant_when_nothing_is_said() -> None:
    params = DatabaseExtraction(table="t", partition_column="id")
    assert (params.lookback_amount, params.lookback_is_time, params.parts) == (0, False, 4)
    assert params.null_cursor_policy is NullCursor.READ
    assert params.deletion_mark is None
    assert DatabaseExtraction(table="t").parts == 1


def test_a_lookback_is_an_amount_or_a_time() -> None:
    amount, span = DatabaseExtraction(table="t", lookback=90), DatabaseExtraction(table="t", lookback="90 minutes")
    assert (amount.lookback_amount, amount.lookback_is_time) == (90, False)
    assert (span.lookback_amount, span.lookback_is_time) == (5400, True)
