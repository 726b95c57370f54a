"""Results of checks on a table."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.described import schema_from_duckdb
from ingestion.model.quality import CheckResult, CheckSpec, Severity
from ingestion.quality.runner import run_checks


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(
            "CREATE TABLE t AS SELECT i AS copies, CASE WHEN i % 10 = 0 THEN NULL ELSE i END AS n FROM range(1000) r(i)"
        )
        yield opened


def run(connection: duckdb.DuckDBPyConnection, *checks: CheckSpec) -> list[CheckResult]:
    schema = schema_from_duckdb(connection.execute("DESCRIBE t").fetchall())
    return run_checks(connection, "t", schema, checks)


def test_results_come_in_order_with_their_names_and_severities(connection: duckdb.DuckDBPyConnection) -> None:
    results = run(
        connection,
        CheckSpec(check="not_null", column="n", severity=Severity.WARN, name="mine"),
        CheckSpec(check="unique", column="copies"),
        CheckSpec(check="row_count", min=1001),
    )
    assert [(result.name, result.severity, result.passed, result.message) for result in results] == [
        ("mine", Severity.WARN, False, "100 of 1000 rows fail"),
        ("unique_copies", Severity.ERROR, True, "all of 1000 rows pass"),
        ("row_count", Severity.ERROR, False, "1000 rows, expected from 1001 to any"),
    ]
    assert [(result.checked_rows, result.failed_rows) for result in results[:2]] == [(1000, 100), (1000, 0)]
    assert run(connection) == []


@pytest.mark.parametrize(("mostly", "passed"), [(0.9, True), (0.9001, False), (1.0, False)])
def test_mostly_is_exact_at_its_border(connection: duckdb.DuckDBPyConnection, mostly: float, passed: bool) -> None:
    [result] = run(connection, CheckSpec(check="not_null", column="n", mostly=mostly))
    assert result.passed is passed


def test_a_check_that_does_not_fit_names_itself_in_one_line(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(SchemaMismatch, match="the check accepted_values_n does not fit the rows") as caught:
        run(connection, CheckSpec(check="accepted_values", column="n", values=("x",)))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "expression", ["nosuch > 1", "abs(copies * 9223372036854775807) > 0", "CAST('x' || copies AS INTEGER) > 1"]
)
def test_an_expression_that_cannot_be_evaluated_tells_the_columns(
    connection: duckdb.DuckDBPyConnection, expression: str
) -> None:
    with pytest.raises(SchemaMismatch, match="does not fit the rows of copies, n: "):
        run(connection, CheckSpec(check="expression", expression=expression))
