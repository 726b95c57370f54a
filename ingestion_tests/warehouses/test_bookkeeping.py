"""What a dataset file knows about its loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from ingestion.errors import PreconditionFailed
from ingestion.model.load import WriteDisposition
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses import bookkeeping, cursors
from ingestion.warehouses.base import PublishRequest, PublishResult, TargetTable
from ingestion_tests.steps.workbench import table_schema

TARGET, SAME, OTHER = TargetTable("ds", "Orders"), TargetTable("ds", "orders"), TargetTable("ds", "others")
RESULT = PublishResult(1, 2, 3, 4, 10, target_rows=5, details={"key": ["a"], "odd": "é'\""})


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        assert not bookkeeping.is_prepared(opened)
        bookkeeping.prepare(opened)
        bookkeeping.prepare(opened)
        assert bookkeeping.is_prepared(opened)
        yield opened


def request(execution_id: str, pipeline_id: str = "p", target: TargetTable = TARGET, **more: Any) -> PublishRequest:
    schema = table_schema(id="INTEGER")
    return PublishRequest(execution_id, pipeline_id, target, schema, WriteDisposition.WRITE_APPEND, **more)


def test_a_load_record_answers_the_result(connection: duckdb.DuckDBPyConnection) -> None:
    assert bookkeeping.load_record(connection, "e1") is None
    bookkeeping.record_load(connection, request("e1"), RESULT)
    assert bookkeeping.load_record(connection, "e1") == RESULT
    with pytest.raises(duckdb.ConstraintException):
        bookkeeping.record_load(connection, request("e1"), RESULT)


def test_the_latest_load_of_a_pipeline_into_a_table(connection: duckdb.DuckDBPyConnection) -> None:
    for execution_id, pipeline_id, target in [("e1", "p", TARGET), ("e2", "p", SAME), ("e3", "q", SAME)]:
        bookkeeping.record_load(connection, request(execution_id, pipeline_id, target), RESULT)
    assert bookkeeping.last_execution(connection, "p", TARGET) == "e2"
    assert bookkeeping.last_execution(connection, "q", TARGET) == "e3"
    assert bookkeeping.last_execution(connection, "p", OTHER) is None


def test_a_cursor_moves_and_keeps_what_it_replaces(connection: duckdb.DuckDBPyConnection) -> None:
    bookkeeping.move_cursor(connection, request("e1"), Cursor("at", "1"))
    bookkeeping.move_cursor(connection, request("e2", target=SAME), Cursor("at", "2"))
    bookkeeping.move_cursor(connection, request("e3", "q"), Cursor("at", "9"))
    assert bookkeeping.stored_cursor(connection, "p", TARGET) == Cursor("at", "2")
    assert bookkeeping.stored_cursor(connection, "p", OTHER) is None
    found = connection.execute("SELECT previous_value, execution_id FROM _ingestion.cursors WHERE pipeline_id = 'p'")
    assert found.fetchall() == [("1", "e2")]


def test_a_new_generation_replaces_the_old_one(connection: duckdb.DuckDBPyConnection) -> None:
    first, again, second = ObjectVersion("a", "1", 1), ObjectVersion("a", "2", 3), ObjectVersion("b", "1", 1)
    bookkeeping.record_objects(connection, request("e1"), [first, second])
    bookkeeping.record_objects(connection, request("e2", target=SAME), [again])
    bookkeeping.record_objects(connection, request("e3", "q"), [first])
    assert bookkeeping.loaded_objects(connection, "p", TARGET) == {again, second}
    bookkeeping.forget_objects(connection, OTHER)
    assert bookkeeping.loaded_objects(connection, "q", SAME) == {first}
    bookkeeping.forget_objects(connection, SAME)
    assert bookkeeping.loaded_objects(connection, "p", TARGET) == bookkeeping.loaded_objects(connection, "q", TARGET)


def test_cursors_of_an_earlier_version_are_kept(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("DROP TABLE _ingestion.cursors")
    connection.execute(
        """CREATE TABLE _ingestion.cursors (pipeline_id VARCHAR NOT NULL, "table" VARCHAR NOT NULL,
        key VARCHAR NOT NULL, value VARCHAR NOT NULL, previous_value VARCHAR, execution_id VARCHAR NOT NULL)"""
    )
    connection.execute("INSERT INTO _ingestion.cursors VALUES ('p', 'Orders', 'at', '7', '5', 'e1')")
    old = cursors.read_state(connection, "p", TARGET)
    assert (old.cursor, old.previous_value, old.set_by) == (Cursor("at", "7"), "5", "e1")
    reset = cursors.set_cursor(connection, "p", TARGET, None, "me@example.com", old.version)
    assert (reset.cursor, reset.previous_value, reset.set_by) == (None, "7", "me@example.com")
    assert bookkeeping.stored_cursor(connection, "p", TARGET) is None
    with pytest.raises(PreconditionFailed, match="changed meanwhile"):
        cursors.set_cursor(connection, "p", TARGET, Cursor("at", "1"), "me@example.com", old.version)
    bookkeeping.move_cursor(connection, request("e2"), Cursor("at", "9"))
    assert cursors.read_state(connection, "p", TARGET).execution_id == "e2"
