"""Which rows an incremental read takes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ingestion.errors import ExecutionFailure, QueryFailed, SchemaMismatch
from ingestion.model.execution import ExecutionParams
from ingestion.sources.base import Cursor
from ingestion.sources.mysql_relation import table_relation
from ingestion.sources.mysql_window import Window, parts_of
from ingestion_tests.sources.mysql_workbench import MysqlDatabase


def test_a_read_goes_from_the_cursor_to_the_present_end(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE t (id INT, at TIMESTAMP(6) NULL)",
        "INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-02 00:00:00.000001'), (3, NULL), (4, '0000-00-00')",
    )
    first, rows = mysql.extract(table="t", incremental_key="at")
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert first.rejected == 1
    assert first.cursor == Cursor("at", "2024-01-02 00:00:00.000001")
    mysql.run("INSERT INTO t VALUES (5, '2024-01-03'), (6, '2023-12-31')")
    second, rows = mysql.extract(table="t", incremental_key="at", changes={"cursor": first.cursor})
    assert [row["id"] for row in rows] == [2, 3, 5]
    assert second.cursor == Cursor("at", "2024-01-03 00:00:00.000000")
    mysql.run("DELETE FROM t WHERE at > '2024-01-01'")
    third, rows = mysql.extract(table="t", incremental_key="at", changes={"cursor": second.cursor})
    assert [row["id"] for row in rows] == [3]
    assert third.cursor == second.cursor


@pytest.mark.parametrize(
    ("policy", "found", "rejected"), [("read", [1, 2], 1), ("skip", [1], 0), ("fail", SchemaMismatch, 0)]
)
def test_rows_without_a_cursor(mysql: MysqlDatabase, policy: str, found: Any, rejected: int) -> None:
    mysql.run(
        "CREATE TABLE t (id INT, at DATE)", "INSERT INTO t VALUES (1, '2024-01-01'), (2, NULL), (3, '0000-00-00')"
    )
    given: dict[str, Any] = {"table": "t", "incremental_key": "at", "null_cursor": policy}
    if not isinstance(found, list):
        with pytest.raises(found, match="has 2 rows whose 'at' is NULL"):
            mysql.extract(**given)
        return
    result, rows = mysql.extract(**given)
    assert [row["id"] for row in rows] == found
    assert result.rejected == rejected


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("DECIMAL(65, 0)", ["9", "1" + "0" * 60]),
        ("DECIMAL(10, 3)", ["9.900", "10.100"]),
        ("VARCHAR(9)", ["a'b\\\\", "c"]),
        ("BIGINT", ["9", "10"]),
        ("BIGINT UNSIGNED", ["9", "18446744073709551615"]),
        ("FLOAT", ["0.10000000149011612", "10.25"]),
        ("DOUBLE", ["0.1", "1e300"]),
        ("BIT(40)", ["9", "1099511627775"]),
        ("DATETIME(3)", ["2024-01-01 00:00:00.001", "2024-01-01 00:00:00.010"]),
        ("TIME", ["-10:00:00", "30:00:00"]),
    ],
)
def test_cursors_of_any_type_are_exact(mysql: MysqlDatabase, kind: str, values: list[str]) -> None:
    shown = [value.replace("'", "''") if "CHAR" in kind else value for value in values]
    quote = "" if kind in ("FLOAT", "DOUBLE", "BIT(40)") else "'"
    mysql.run(f"CREATE TABLE t (k {kind})", *(f"INSERT INTO t VALUES ({quote}{value}{quote})" for value in shown))
    first, _ = mysql.extract(table="t", incremental_key="k")
    assert first.cursor == Cursor("k", values[1])
    again, _ = mysql.extract(table="t", incremental_key="k", changes={"cursor": first.cursor})
    assert (again.rows, again.cursor) == (1, first.cursor)
    low = values[0].replace("\\\\", "\\")
    both, _ = mysql.extract(table="t", incremental_key="k", changes={"cursor": Cursor("k", low)})
    assert both.rows == 2


@pytest.mark.parametrize(
    ("kind", "cursor", "lookback", "read_from", "found"),
    [
        ("DATETIME", "2024-01-03 00:00:00", "24 hours", "2024-01-02 00:00:00.000000", 2),
        ("DATE", "2024-01-03", 60, "2024-01-02", 2),
        ("INT", "20240103", 1, "20240102", 2),
    ],
)
def test_a_read_may_look_back(
    mysql: MysqlDatabase, kind: str, cursor: str, lookback: Any, read_from: str, found: int
) -> None:
    mysql.run(f"CREATE TABLE t (k {kind})", "INSERT INTO t VALUES (20240101), (20240102), (20240103)")
    result, rows = mysql.extract(
        table="t", incremental_key="k", lookback=lookback, changes={"cursor": Cursor("k", cursor)}
    )
    assert len(rows) == found
    assert result.read_from == Cursor("k", read_from)
    assert result.cursor == Cursor("k", cursor)


def test_a_backfill_reads_its_days_and_moves_no_cursor(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE t (id INT, at DATETIME(1))",
        "INSERT INTO t VALUES (1, '2023-05-31 23:59:59'), (2, '2023-06-01'), (3, '2023-06-15 23:59:59.9'), "
        "(4, '2023-06-16'), (5, NULL), (6, '0000-00-00')",
    )
    days = ExecutionParams(start_date=dt.date(2023, 6, 1), end_date=dt.date(2023, 6, 15))
    result, rows = mysql.extract(table="t", incremental_key="at", changes={"execution": days})
    assert [row["id"] for row in rows] == [2, 3]
    assert result.cursor is None
    until = ExecutionParams(end_date=dt.date.max)
    assert mysql.extract(table="t", incremental_key="at", changes={"execution": until})[0].rows == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"incremental_key": "raw"}, "'raw' is BYTES, which has no order"),
        ({"incremental_key": "note", "lookback": 5}, "an amount, which cannot be taken from 'note'"),
        ({"incremental_key": "id", "lookback": "1 day"}, "a time, which cannot be taken from 'id'"),
        ({"incremental_key": "absent"}, "no column 'absent'; it has id, raw, note"),
        ({"partition_column": "note"}, "partition_column must be a number"),
        (
            {"incremental_key": "id", "changes": {"execution": ExecutionParams(start_date=dt.date(2024, 1, 1))}},
            "incremental_key that is a date or timestamp",
        ),
    ],
)
def test_columns_that_cannot_be_followed(mysql: MysqlDatabase, given: dict[str, Any], said: str) -> None:
    mysql.run("CREATE TABLE t (id INT, raw BLOB, note TEXT)")
    with pytest.raises(ExecutionFailure, match=said):
        mysql.extract(table="t", **given)


def test_parts_of_nothing_and_of_one_value(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT)")
    with mysql.session() as opened:
        assert parts_of(opened, table_relation(opened, "t"), Window(), "id", 4).windows == [Window()]
    mysql.run("INSERT INTO t VALUES (7), (7), (NULL)")
    result, rows = mysql.extract(table="t", partition_column="id")
    assert [row["id"] for row in rows].count(7) == 2
    assert result.rows == 3


def test_a_lookback_before_the_calendar_is_refused(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (at DATETIME)", "INSERT INTO t VALUES ('2024-01-01')")
    with pytest.raises(QueryFailed, match="before the calendar"):
        mysql.extract(
            table="t", incremental_key="at", lookback=10**12, changes={"cursor": Cursor("at", "2024-01-01 00:00:00")}
        )
