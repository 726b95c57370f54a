"""Installed connectors as sources."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import Cancelled, ObjectMissing, ParseFailed, QueryFailed, SchemaMismatch, UnexpectedFailure
from ingestion.model.connections import CustomConnection
from ingestion.model.extraction import CustomExtraction
from ingestion.sources.base import ConnectorContext, Cursor, Extraction
from ingestion.sources.custom import InstalledConnector
from ingestion.sql import parquet_relation
from ingestion_tests.connectors.numbers import NumbersConnector
from ingestion_tests.connectors.test_entry_points import NUMBERS, install
from ingestion_tests.sources.conftest import request_for


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: ConnectorContext) -> Any:
    """Makes the connector with a config."""
    install(tmp_path / "site", "numbers", numbers=NUMBERS)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    monkeypatch.setattr(NumbersConnector, "closed", 0)
    known = replace(context, resolve_secret={"env://NUMBERS_TOKEN": "hunter2"}.__getitem__)
    return lambda **config: InstalledConnector(CustomConnection(connector="numbers", config=config), known)


def params(**given: Any) -> CustomExtraction:
    return CustomExtraction.model_validate({"object": "numbers", **given})


def rows_of(extraction: Extraction, folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        relation = parquet_relation([folder / file.name for file in extraction.files])
        return connection.execute(f"SELECT * FROM {relation} ORDER BY id").fetchall()


@pytest.mark.parametrize("kind", ["mappings", "batches"])
def test_every_row_arrives_once_with_its_type(numbers: Any, tmp_path: Path, kind: str) -> None:
    request = request_for(params(params={"kind": kind}), tmp_path / "staged")
    extraction = numbers(rows=450_000).extract(request)
    assert [(field.name, field.type) for field in extraction.schema.fields] == [("id", "INTEGER"), ("half", "FLOAT")]
    assert (extraction.rows, extraction.rejected, extraction.keys) == (450_000, 0, ("id",))
    assert len(extraction.files) == 3
    assert extraction.bytes_read > 450_000
    rows = rows_of(extraction, tmp_path / "staged")
    assert rows == [(number, number / 2) for number in range(450_000)]


def test_a_second_execution_reads_from_the_cursor_on(numbers: Any, tmp_path: Path) -> None:
    wanted = params(incremental_key="id")
    first = numbers(rows=100).extract(request_for(wanted, tmp_path / "first"))
    assert first.cursor == Cursor("id", "99")
    second = numbers(rows=1100).extract(request_for(wanted, tmp_path / "second", cursor=first.cursor))
    assert (second.rows, second.cursor) == (1001, Cursor("id", "1099"))
    nothing = numbers(rows=50).extract(request_for(wanted, tmp_path / "third", cursor=second.cursor))
    assert (nothing.rows, nothing.cursor) == (0, second.cursor)


def test_a_cancel_closes_the_connector_s_reading(numbers: Any, tmp_path: Path) -> None:
    def cancel(metrics: Any) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        numbers(rows=1_000_000).extract(request_for(params(), tmp_path / "staged", progress=cancel))
    assert NumbersConnector.closed == 1


def test_a_defect_of_the_connector_is_told_from_a_failure_of_the_source(numbers: Any, tmp_path: Path) -> None:
    with pytest.raises(UnexpectedFailure, match="the connector 'numbers' failed with ZeroDivisionError: a defect"):
        numbers(rows=100_000).extract(request_for(params(params={"fails_at": 20_000}), tmp_path / "one"))
    assert NumbersConnector.closed == 1
    with pytest.raises(ObjectMissing):
        numbers(rows=1).extract(request_for(CustomExtraction(object="letters"), tmp_path / "two"))


def test_batches_of_two_kinds_in_one_reading_are_refused(numbers: Any, tmp_path: Path) -> None:
    with pytest.raises(ParseFailed, match="different formats"):
        numbers(rows=30_000).extract(request_for(params(params={"kind": "both"}), tmp_path / "staged"))


def test_wrong_params_are_named(numbers: Any, tmp_path: Path) -> None:
    with pytest.raises(QueryFailed, match=r"extraction_params\.params\.kinds: unknown field; known fields are kind"):
        numbers(rows=1).extract(request_for(params(params={"kinds": 1}), tmp_path / "staged"))


def test_a_cursor_without_order_is_refused(numbers: Any, tmp_path: Path) -> None:
    wanted = params(incremental_key="extra", params={"extra": {"a": 1}})
    with pytest.raises(SchemaMismatch, match="whose values have no order"):
        numbers(rows=2).extract(request_for(wanted, tmp_path / "staged"))


def test_the_schema_is_told_from_the_first_rows(numbers: Any) -> None:
    described = numbers(rows=1_000_000).describe("numbers", 2)
    assert described.schema.names == ["id", "half"]
    assert described.sample_rows == [{"id": 0, "half": 0.0}, {"id": 1, "half": 0.5}]
    assert NumbersConnector.closed == 1


def test_a_check_names_its_parts(numbers: Any) -> None:
    report = numbers(rows=3).check(5)
    assert report.successful
    assert [(check["name"], check["passed"]) for check in report.results["checks"]] == [
        ("connector", True),
        ("config", True),
        ("read", True),
    ]
    assert "3 numbers, with a token of 7 characters" in str(report.results)
    assert "hunter2" not in str(report)


@pytest.mark.parametrize(
    ("config", "failed", "code"),
    [({}, "config", "QUERY_ERROR"), ({"rows": 1, "is_away": True}, "read", "CONNECTION_FAILED")],
)
def test_a_check_that_fails_says_where(numbers: Any, config: dict[str, Any], failed: str, code: str) -> None:
    report = numbers(**config).check(5)
    assert not report.successful
    assert report.results["checks"][-1]["name"] == failed
    assert report.results["error_code"] == code
