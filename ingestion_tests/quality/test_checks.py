"""Each check on rows that pass and rows that do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.described import schema_from_duckdb
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.quality import problems_in, run_checks

ODD = 'a "b"; --'


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(f'CREATE TABLE t (id BIGINT, "{ODD.replace(chr(34), chr(34) * 2)}" VARCHAR, day DATE, l INT[])')
        opened.execute(
            "INSERT INTO t VALUES (1, 'x1', '2023-01-01', [1]), (2, 'x2', '2023-01-02', NULL), "
            "(2, 'y', '2023-01-03', []), (NULL, NULL, NULL, NULL)"
        )
        yield opened


def run(connection: duckdb.DuckDBPyConnection, **spec: Any) -> CheckResult:
    schema = schema_from_duckdb(connection.execute("DESCRIBE t").fetchall())
    [result] = run_checks(connection, "t", schema, [CheckSpec(**spec)])
    return result


@pytest.mark.parametrize(
    ("spec", "failed"),
    [
        ({"check": "not_null", "column": "ID"}, 1),
        ({"check": "unique", "column": "id"}, 2),
        ({"check": "unique", "columns": ("id", ODD)}, 0),
        ({"check": "accepted_values", "column": "id", "values": (1,)}, 2),
        ({"check": "accepted_values", "column": "id", "values": (1, 2)}, 0),
        ({"check": "accepted_values", "column": "id", "values": (1, None)}, 2),
        ({"check": "accepted_values", "column": "day", "values": ("2023-01-01",)}, 2),
        ({"check": "range", "column": "id", "min": 1.5}, 1),
        ({"check": "range", "column": "id", "min": 1, "max": 1}, 2),
        ({"check": "range", "column": "day", "min": "2023-01-02", "max": "2023-01-02"}, 2),
        ({"check": "regex", "column": ODD, "pattern": "^x"}, 1),
        ({"check": "regex", "column": "id", "pattern": "2"}, 1),
        ({"check": "row_count", "min": 4, "max": 4}, 0),
        ({"check": "row_count", "max": 3}, 4),
        ({"check": "expression", "expression": "id < 2 -- small"}, 2),
        ({"check": "expression", "expression": "id"}, 0),
    ],
)
def test_failing_rows_are_counted(connection: duckdb.DuckDBPyConnection, spec: dict[str, Any], failed: int) -> None:
    result = run(connection, **spec)
    assert (result.checked_rows, result.failed_rows, result.passed) == (4, failed, failed == 0)
    assert result.name == CheckSpec(**spec).title


def test_mostly_is_a_fraction_of_the_rows(connection: duckdb.DuckDBPyConnection) -> None:
    assert run(connection, check="not_null", column="id", mostly=0.75).passed
    result = run(connection, check="not_null", column="id", mostly=0.76)
    assert not result.passed
    assert result.message == "1 of 4 rows fail, at least 76.0000% have to pass"


def test_an_empty_table_passes_all_but_a_row_count(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("DELETE FROM t")
    assert run(connection, check="unique", column="id").passed
    assert run(connection, check="expression", expression="id > 5").passed
    assert not run(connection, check="row_count", min=1).passed


@pytest.mark.parametrize(
    "spec",
    [
        {"check": "not_null", "column": "nosuch"},
        {"check": "unique", "columns": ("id", "nosuch")},
        {"check": "accepted_values", "column": "id", "values": ("one",)},
        {"check": "accepted_values", "column": "l", "values": (1,)},
        {"check": "range", "column": "day", "min": "someday"},
        {"check": "range", "column": "day", "min": 5},
        {"check": "expression", "expression": "nosuch > 1"},
        {"check": "expression", "expression": "(SELECT true)"},
        {"check": "row_count", "min": "many"},
        {"check": "regex", "column": "id", "pattern": "("},
    ],
)
def test_a_check_that_does_not_fit_is_a_schema_mismatch(
    connection: duckdb.DuckDBPyConnection, spec: dict[str, Any]
) -> None:
    with pytest.raises(SchemaMismatch, match=CheckSpec(**spec).title):
        run(connection, **spec)


def test_problems_are_found_when_a_pipeline_is_saved() -> None:
    checks = [
        CheckSpec(check="expression", expression="a; b"),
        CheckSpec(check="regex", column="a", pattern="("),
        CheckSpec(check="row_count", min="many"),
        CheckSpec(check="not_null", column="a"),
        CheckSpec(check="not_null", column="a"),
    ]
    assert [problem.field for problem in problems_in(checks)] == [
        "quality_params.checks.0.expression",
        "quality_params.checks.1.pattern",
        "quality_params.checks.2.min",
        "quality_params.checks.4",
    ]
    assert problems_in(checks[3:4]) == []
