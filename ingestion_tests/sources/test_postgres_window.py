"""Which rows of a relation are read."""

from __future__ import annotations

import datetime as dt
from datetime import date
from typing import Any

import pytest

from ingestion.errors import QueryFailed, SchemaMismatch
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction
from ingestion.sources.base import Cursor
from ingestion.sources.postgres_connection import session
from ingestion.sources.postgres_relation import table_relation
from ingestion.sources.postgres_window import Window, window_of
from ingestion_tests.sources.postgres_workbench import Database, login

ALL = ExecutionParams()


def read(
    database: Database, key: str | None, cursor: str | None = None, execution: ExecutionParams = ALL, **params: Any
) -> tuple[list[int], Window]:
    """The ids that the window of the table t has, and the window."""
    extraction = DatabaseExtraction(table="t", incremental_key=key, **params)
    with session(login(database.connection(), database.context)) as opened:
        relation = table_relation(opened, "t")
        before = Cursor(key, cursor) if key is not None and cursor is not None else None
        window = window_of(opened, relation, extraction, before, execution)
        statement = f"SELECT c0 FROM {relation.source} WHERE {window.conditions}{window.order}"
        return [row[0] for row in opened.execute(statement.encode()).fetchall()], window


def test_windows(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, at date)",
        "INSERT INTO t VALUES (3, '9999-12-31'), (1, '2024-01-01'), (4, NULL), (5, 'infinity'), (6, '10000-01-01'), "
        "(2, '2024-01-02')",
    )
    assert sorted(read(database, None)[0]) == [1, 2, 3, 4, 5, 6]
    rows, window = read(database, "at")
    assert (sorted(rows), window.cursor) == ([1, 2, 3, 4, 5, 6], Cursor("at", "10000-01-01"))
    rows, window = read(database, "id", "5")
    assert (rows, window.cursor, window.read_from) == ([5, 6], Cursor("id", "6"), None)
    rows, window = read(database, "id", "7")
    assert (rows, window.cursor) == ([], Cursor("id", "7"))
    # The last day Python knows is not the last one of PostgreSQL.
    days = ExecutionParams(start_date=date(2024, 1, 2), end_date=date.max)
    rows, window = read(database, "at", "2030-01-01", days)
    assert (rows, window.cursor) == ([2, 3], None)
    assert read(database, "at", None, ExecutionParams(end_date=date(2024, 1, 1)))[0] == [1]
    with pytest.raises(QueryFailed, match="'id' is integer"):
        read(database, "id", None, days)


@pytest.mark.parametrize(
    ("kind", "cursor", "lookback", "read_from"),
    [
        ("timestamptz", "2024-03-01 00:30:00+00", "1 hour", "2024-02-29 23:30:00+00"),
        ("timestamp", "2024-03-01 00:30:00.000001", 60, "2024-03-01 00:29:00.000001"),
        ("date", "2024-03-01", "2 hours", "2024-02-29"),
        ("date", "2024-03-01", "36 hours", "2024-02-28"),
        ("int8", "100", 30, "70"),
        ("numeric", "1.5", 1, "0.5"),
    ],
)
def test_a_read_may_begin_below_its_cursor(
    database: Database, kind: str, cursor: str, lookback: int | str, read_from: str
) -> None:
    below = (
        f"CAST('{read_from}' AS {kind}) - {'1' if kind in ('int8', 'numeric', 'date') else chr(39) + '1 us' + chr(39)}"
    )
    if kind.startswith("timestamp"):
        below = f"CAST('{read_from}' AS {kind}) - interval '1 microsecond'"
    database.run(
        f"CREATE TABLE t (id int, k {kind})",
        f"INSERT INTO t VALUES (1, {below}), (2, '{read_from}'), (3, '{cursor}')",
    )
    rows, window = read(database, "k", cursor, lookback=lookback)
    assert rows == [2, 3]
    assert (window.cursor, window.read_from) == (Cursor("k", cursor), Cursor("k", read_from))
    # Rows that are gone do not move the cursor back.
    database.run("DELETE FROM t WHERE id = 3")
    rows, window = read(database, "k", cursor, lookback=lookback)
    assert (rows, window.cursor) == ([2], Cursor("k", cursor))
    assert read(database, "k", None, lookback=lookback)[1].read_from is None


@pytest.mark.parametrize(("key", "lookback"), [("id", "1 hour"), ("name", 5), ("name", "1 hour")])
def test_a_lookback_must_suit_its_key(database: Database, key: str, lookback: int | str) -> None:
    database.run("CREATE TABLE t (id int, name text)")
    with pytest.raises(QueryFailed, match=f"cannot be taken from '{key}'"):
        read(database, key, "5", lookback=lookback)


@pytest.mark.parametrize("kind", ["float8", "numeric", "timestamp"])
def test_what_has_no_place_in_the_order_is_read_skipped_or_refused(database: Database, kind: str) -> None:
    odd = {"float8": "Infinity", "numeric": "NaN", "timestamp": "infinity"}[kind]
    value = "2024-01-01" if kind == "timestamp" else "7"
    database.run(f"CREATE TABLE t (id int, k {kind})", f"INSERT INTO t VALUES (1, '{value}'), (2, NULL), (3, '{odd}')")
    rows, window = read(database, "k")
    assert (sorted(rows), window.cursor) == ([1, 2, 3], Cursor("k", "2024-01-01 00:00:00" if value != "7" else "7"))
    assert read(database, "k", null_cursor="skip")[0] == [1]
    with pytest.raises(SchemaMismatch, match="has 2 rows whose 'k' is NULL"):
        read(database, "k", null_cursor="fail")
    database.run("DELETE FROM t WHERE id = 1")
    assert read(database, "k", null_cursor="skip") == ([], Window("false"))


@pytest.mark.parametrize(
    ("kind", "values"), [("numeric", ["9.9", "10.10"]), ("text", ["a'b", "c"]), ("int8", ["9", "10"])]
)
def test_cursors_of_any_type_are_exact(database: Database, kind: str, values: list[str]) -> None:
    quoted = ", ".join("('" + value.replace("'", "''") + "')" for value in values)
    database.run(f"CREATE TABLE t (k {kind})", f"INSERT INTO t VALUES {quoted}")
    first, _ = database.extract(table="t", incremental_key="k")
    assert first.cursor == Cursor("k", values[1])
    again, _ = database.extract(table="t", incremental_key="k", changes={"cursor": Cursor("k", values[0])})
    assert again.rows == 2


def test_a_backfill_reads_its_days_and_moves_no_cursor(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, at timestamp)",
        "INSERT INTO t VALUES (1, '2023-05-31 23:59:59'), (2, '2023-06-01'), (3, '2023-06-15 23:59:59.9'), "
        "(4, '2023-06-16'), (5, NULL)",
    )
    days = ExecutionParams(start_date=dt.date(2023, 6, 1), end_date=dt.date(2023, 6, 15))
    result, rows = database.extract(table="t", incremental_key="at", changes={"execution": days})
    assert [row["id"] for row in rows] == [2, 3]
    assert result.cursor is None


def test_a_backfill_by_a_number_is_refused(database: Database) -> None:
    database.run("CREATE TABLE t (id int)")
    with pytest.raises(QueryFailed, match="incremental_key that is a date or timestamp"):
        database.extract(
            table="t", incremental_key="id", changes={"execution": ExecutionParams(start_date=dt.date(2023, 6, 1))}
        )
