"""Tables and queries of a real MariaDB, read as they are."""

from __future__ import annotations

import datetime as dt
import threading
import time
from decimal import Decimal
from typing import Any

import pytest

from ingestion.errors import ConnectionFailed, SchemaMismatch, SourceChanged, TimedOut
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sources import mysql as module
from ingestion.sources.base import Cursor
from ingestion.sources.mysql_window import Parts, Window
from ingestion_tests.servers.tcp_proxy import TcpProxy
from ingestion_tests.sources.mysql_workbench import ENDLESS, MysqlDatabase

AWKWARD = """
CREATE TABLE awkward (
    id BIGINT UNSIGNED PRIMARY KEY COMMENT 'The key', flag TINYINT(1), small SMALLINT, medium MEDIUMINT UNSIGNED,
    padded INT(8) ZEROFILL, big BIGINT, huge BIGINT UNSIGNED, f4 FLOAT, f8 DOUBLE, price DECIMAL(30, 6),
    digits DECIMAL(38, 38), long_digits DECIMAL(65, 30), bits BIT(8), wide BIT(64), made YEAR, day DATE, clock TIME(6),
    lasted TIME(1), plain DATETIME(6), instant TIMESTAMP(3) NULL, fixed CHAR(5), latin VARCHAR(20) CHARACTER SET latin1,
    cyrillic VARCHAR(20) CHARACTER SET cp1251, cased VARCHAR(20) COLLATE utf8mb4_bin, raw4 BINARY(4),
    raw VARBINARY(200), text TEXT, blobs LONGBLOB, mood ENUM('sad', 'o,k'), tags SET('x', 'y'), doc JSON,
    place POINT, uid UUID, net INET6
) CHARACTER SET utf8mb4
"""
AWKWARD_ROW = """
SELECT seq + 18446744073709540000, 2, -3, 16777215, 42, -9223372036854775808, 18446744073709551615, 0.1, 0.1,
    123456789012345678901234.123456, 0.12345678901234567890123456789012345678,
    12345678901234567890123456789012345.123456789012345678901234567890, b'10000001', 0xFFFFFFFFFFFFFFFF, 2024,
    '0001-02-03', '23:59:59.999999', '-100:00:01.5', '2024-02-29 12:00:00.000001', '2024-02-29 12:00:00.5', 'ab', 'é',
    'д', 'ü', 0x00FF0A, REPEAT(0x0A0D, 60), 'tab\\t"quote", line\\r\\nend ''x'' \\\\N 🙂', '', 'o,k', 'x,y',
    '{"b": 1.10, "a": [1,  2]}', POINT(1, 2), '00000000-0000-0000-0000-00000000000a', '::1'
"""


def test_awkward_values_come_over_exactly_across_many_batches(mysql: MysqlDatabase) -> None:
    mysql.run(AWKWARD, f"INSERT INTO awkward {AWKWARD_ROW} FROM seq_1_to_9000")
    result, rows = mysql.extract(mysql.connector(part_bytes=1 << 20), table="awkward")
    assert (result.rows, result.rejected) == (9000, 0)
    assert len(result.files) > 3
    assert sorted(row["id"] for row in rows) == [Decimal(18446744073709540000 + i) for i in range(1, 9001)]
    expected = {
        "flag": 2,
        "small": -3,
        "medium": 16777215,
        "padded": 42,
        "big": -9223372036854775808,
        "huge": Decimal(18446744073709551615),
        "f4": 0.10000000149011612,
        "f8": 0.1,
        "price": Decimal("123456789012345678901234.123456"),
        "digits": Decimal("0.12345678901234567890123456789012345678"),
        "long_digits": "12345678901234567890123456789012345.123456789012345678901234567890",
        "bits": 129,
        "wide": Decimal(18446744073709551615),
        "made": 2024,
        "day": dt.date(1, 2, 3),
        "clock": dt.time(23, 59, 59, 999999),
        "lasted": "-100:00:01.5",
        "plain": dt.datetime(2024, 2, 29, 12, 0, 0, 1),
        "instant": dt.datetime(2024, 2, 29, 12, 0, 0, 500000, tzinfo=dt.UTC),
        "fixed": "ab",
        "latin": "é",
        "cyrillic": "д",
        "cased": "ü",
        "raw4": b"\x00\xff\n\x00",
        "raw": b"\n\r" * 60,
        "text": "tab\t\"quote\", line\r\nend 'x' \\N 🙂",
        "blobs": b"",
        "mood": "o,k",
        "tags": "x,y",
        "doc": '{"b": 1.10, "a": [1,  2]}',
        "place": "POINT(1 2)",
        "uid": "00000000-0000-0000-0000-00000000000a",
        "net": "::1",
    }
    for row in (rows[0], rows[4500], rows[8999]):
        assert {name: row[name] for name in expected} == expected
    assert result.keys == ("id",)
    assert result.schema.fields[0].mode is FieldMode.REQUIRED
    assert result.schema.fields[0].description == "The key"


def test_null_and_empty_text_stay_apart(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES (NULL), (''), ('NULL'), ('\\\\N'), ('\\n'), ('\"')")
    result, rows = mysql.extract(table="t")
    assert [row["a"] for row in rows] == [None, "", "NULL", "\\N", "\n", '"']
    assert result.rows == 6


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("DATE NOT NULL", "0000-00-00", "DATE"),
        ("DATE", "0000-05-01", "DATE"),
        ("DATE", "2024-02-00", "DATE"),
        ("DATETIME(6)", "0000-00-00 00:00:00", "DATETIME"),
        ("TIMESTAMP NULL", "0000-00-00", "TIMESTAMP"),
    ],
)
@pytest.mark.parametrize("read", [{"table": "t"}, {"query": "SELECT * FROM t"}])
def test_dates_that_are_none_are_rejected_with_their_row(
    mysql: MysqlDatabase, kind: str, value: str, expected: str, read: dict[str, Any]
) -> None:
    good = "2024-01-01"
    mysql.run(
        f"CREATE TABLE t (id INT, v {kind})", f"INSERT INTO t VALUES (1, '{good}'), (2, '{value}'), (3, '{good}')"
    )
    result, rows = mysql.extract(**read)
    assert [row["id"] for row in rows] == [1, 3]
    assert (result.rows, result.rejected) == (2, 1)
    (reject,) = mysql.rejects(result)
    assert (reject["position"], reject["error_code"], reject["column_name"]) == ("row 2", "TYPE_MISMATCH", "v")
    assert reject["expected"].removesuffix(" REQUIRED") == expected
    assert reject["got"].startswith(value)
    assert '"id": "2"' in reject["raw_row"]


def test_what_enums_and_years_hold_when_nothing_fits_is_kept(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (e ENUM('a'), y YEAR)", "INSERT INTO t VALUES ('zzz', 0), ('a', 1901)")
    _, rows = mysql.extract(table="t")
    assert rows == [{"e": "", "y": 0}, {"e": "a", "y": 1901}]


@pytest.mark.parametrize(
    ("values", "kind"),
    [("('10:00:00'), (NULL)", "TIME"), ("('24:00:00')", "STRING"), ("('-00:00:01')", "STRING"), ("(NULL)", "TIME")],
)
def test_times_are_text_when_one_is_no_time_of_day(mysql: MysqlDatabase, values: str, kind: str) -> None:
    mysql.run("CREATE TABLE t (v TIME)", f"INSERT INTO t VALUES {values}")
    result, _ = mysql.extract(table="t")
    assert (result.schema.fields[0].type, result.rejected) == (kind, 0)
    assert mysql.connector().describe("t", 1).schema.fields[0].type == kind


def test_times_stay_what_the_target_has(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (v TIME, w TIME)", "INSERT INTO t VALUES ('10:00', '10:00'), ('30:00', '11:00')")
    known = TableSchema(
        fields=(SchemaField(name="v", type=FieldType.TIME), SchemaField(name="w", type=FieldType.STRING))
    )
    result, rows = mysql.extract(table="t", changes={"known_schema": known})
    assert rows == [{"v": dt.time(10), "w": "10:00:00"}]
    assert result.rejected == 1


def test_an_extraction_says_what_it_read(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    result, _ = mysql.extract(query="SELECT id FROM t")
    assert result.task_params == {
        "instance": "127.0.0.1",
        "database": mysql.name,
        "sql": "SELECT id FROM t",
        "destination": str(mysql.staging),
    }
    assert result.bytes_read == len("1\n")


def test_parts_hold_every_row_once_in_order_of_nothing(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE t (id INT, at DATETIME)",
        "INSERT INTO t SELECT seq, '2024-01-01' + INTERVAL seq MINUTE FROM seq_1_to_3000",
        "INSERT INTO t VALUES (NULL, NULL), (-5, '0000-00-00')",
    )
    for column in ("id", "at"):
        result, rows = mysql.extract(table="t", partition_column=column, partitions=3)
        assert sorted(row["id"] or 0 for row in rows) == [0, *range(1, 3001)]
        assert (result.rejected, len(result.files)) == (1, 3)
        assert result.task_params["parts"] == "3"
        (reject,) = mysql.rejects(result)
        assert reject["position"].startswith("part 0, row ")


def test_parts_that_do_not_add_up_are_a_changed_source(mysql: MysqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    mysql.run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1), (2)")
    monkeypatch.setattr(module, "parts_of", lambda *given: Parts([Window("id < 2"), Window("id >= 3")], 2))
    with pytest.raises(SourceChanged, match="had 2 rows when its parts were planned, but they have 1"):
        mysql.extract(table="t", partition_column="id")


def test_one_snapshot_serves_the_bound_and_the_rows(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT PRIMARY KEY, pad TEXT)", "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_50000")
    inserted = threading.Event()

    def insert(metrics: Any) -> None:
        if not inserted.is_set():
            inserted.set()
            mysql.run("INSERT INTO t VALUES (-1, 'late')")

    query = "SELECT id, SLEEP(id % 10000 = 0) AS waited FROM t"
    result, rows = mysql.extract(query=query, incremental_key="id", changes={"progress": insert})
    assert inserted.is_set()
    assert (len(rows), result.cursor) == (50000, Cursor("id", "50000"))


def test_a_mark_of_deletion_is_a_number_or_a_time(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT, gone TINYINT(1), note TEXT)", "INSERT INTO t VALUES (1, 0, ''), (2, 1, '')")
    _, rows = mysql.extract(table="t", deleted_column="gone")
    assert [row["gone"] for row in rows] == [0, 1]
    with pytest.raises(SchemaMismatch, match="deleted_column 'note' is STRING"):
        mysql.extract(table="t", deleted_column="note")


def test_describe_is_ready_for_json(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE t (id INT PRIMARY KEY, price DECIMAL(20, 2), at TIMESTAMP(3) NULL, doc JSON)",
        "INSERT INTO t VALUES (1, 29.99, '2023-06-01 10:30:00', '{\"a\": [1]}'), (2, NULL, NULL, NULL)",
        "CREATE VIEW seen AS SELECT id, price FROM t",
    )
    described = mysql.connector().describe("t", 1)
    assert described.sample_rows == [{"id": 1, "price": 29.99, "at": "2023-06-01T10:30:00Z", "doc": {"a": [1]}}]
    assert [field.type for field in described.schema.fields] == ["INTEGER", "NUMERIC", "TIMESTAMP", "JSON"]
    assert mysql.connector().describe("seen", 5).schema.names == ["id", "price"]


@pytest.mark.parametrize("query", ["SELECT SLEEP(60) AS x", ENDLESS])
def test_a_cancel_ends_the_query_at_the_server_at_once(mysql: MysqlDatabase, query: str) -> None:
    stopped_at: list[float] = []

    def stop(metrics: Any) -> None:
        stopped_at.append(time.monotonic())
        raise InterruptedError

    with pytest.raises(InterruptedError):
        mysql.extract(query=query, changes={"progress": stop})
    assert time.monotonic() - stopped_at[0] < 15
    deadline = time.monotonic() + 30
    while mysql.sessions():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("parts", [{}, {"partition_column": "id", "partitions": 2}])
def test_a_statement_that_takes_too_long_is_a_timeout(mysql: MysqlDatabase, parts: dict[str, Any]) -> None:
    query = "SELECT seq AS id, SLEEP(1) AS x FROM seq_1_to_60"
    with pytest.raises(TimedOut):
        mysql.extract(query=query, statement_timeout_seconds=1, **parts)


def test_a_session_that_is_killed_while_rows_come_is_a_failed_connection(mysql: MysqlDatabase) -> None:
    def kill(metrics: Any) -> None:
        for session in mysql.sessions():
            mysql.run(f"KILL {session}")

    with pytest.raises(ConnectionFailed):
        mysql.extract(query=ENDLESS, changes={"progress": kill})


def test_a_connection_cut_in_the_middle_loses_no_row_silently(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (pad TEXT)", "INSERT INTO t SELECT REPEAT('x', 1000) FROM seq_1_to_5000")
    with TcpProxy(mysql.server.host, mysql.server.port) as proxy:
        proxy.cut_after = 2_000_000
        with pytest.raises(ConnectionFailed):
            mysql.extract(mysql.connector(port=proxy.port), table="t")


def test_a_cancel_is_heard_when_the_network_has_gone_silent(mysql: MysqlDatabase) -> None:
    started = time.monotonic()
    with TcpProxy(mysql.server.host, mysql.server.port) as proxy:

        def stop(metrics: Any) -> None:
            proxy.silent = True
            if time.monotonic() - started > 2:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            mysql.extract(mysql.connector(port=proxy.port), query=ENDLESS, changes={"progress": stop})
    assert time.monotonic() - started < 30
