"""The connector as a whole: what an extraction reads, what stops it, and what it says about a table."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingestion.errors import QueryFailed, SchemaMismatch, SourceChanged
from ingestion.model.extraction import DatabaseExtraction
from ingestion.model.schema import FieldType
from ingestion.sources.base import Cursor
from ingestion_tests.servers.postgres import SUPERUSER
from ingestion_tests.servers.tcp_proxy import TcpProxy
from ingestion_tests.sources.conftest import request_for
from ingestion_tests.sources.postgres_workbench import ENDLESS, Database


def test_an_incremental_read_goes_from_the_cursor_to_the_present_end(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz)",
        "INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-02 00:00:00.000001+00'), (3, NULL), (4, 'infinity')",
    )
    first, rows = database.extract(table="t", incremental_key="at")
    assert sorted(row["id"] for row in rows) == [1, 2, 3]
    assert first.rejected == 1
    assert first.cursor == Cursor("at", "2024-01-02 00:00:00.000001+00")
    database.run("INSERT INTO t VALUES (5, '2024-01-03'), (6, '2023-12-31')")
    second, rows = database.extract(table="t", incremental_key="at", changes={"cursor": first.cursor})
    assert sorted(row["id"] for row in rows) == [2, 3, 5]
    assert second.cursor == Cursor("at", "2024-01-03 00:00:00+00")
    database.run("DELETE FROM t WHERE at > '2024-01-01'")
    third, rows = database.extract(table="t", incremental_key="at", changes={"cursor": second.cursor})
    assert [row["id"] for row in rows] == [3]
    assert third.cursor == second.cursor


def test_progress_may_stop_the_copy(database: Database) -> None:
    calls: list[Any] = []

    def stop(metrics: Any) -> None:
        calls.append(metrics)
        if metrics["rows_extracted"]:
            raise InterruptedError

    started = time.monotonic()
    with pytest.raises(InterruptedError):
        database.extract(query=ENDLESS, changes={"progress": stop})
    assert time.monotonic() - started < 20
    assert calls[-1]["rows_extracted"] > 0
    wait_until(lambda: database.sessions() == 0)


SLOW = {
    "before the first row": {"query": "SELECT pg_sleep(60)::text AS t"},
    "while the bound is sought": {"query": "SELECT id FROM t WHERE pg_sleep(60) IS NOT NULL", "incremental_key": "id"},
    "while a lock is waited for": {"table": "t"},
    "in parallel parts": {
        "query": "SELECT id, pg_sleep(CASE WHEN id > 0 AND pg_backend_pid() > 0 THEN 60 END)::text FROM t",
        "partition_column": "id",
        "partitions": 3,
    },
}


@pytest.mark.parametrize("params", SLOW.values(), ids=SLOW)
def test_a_cancel_is_heard_while_the_server_is_silent(database: Database, params: dict[str, Any]) -> None:
    """The statement ends at the server too: nothing goes on there for a reader who has left."""
    database.run("CREATE TABLE t (id int)", "INSERT INTO t SELECT generate_series(1, 10)")
    told = time.monotonic()

    def stop(metrics: Any) -> None:
        nonlocal told
        told = time.monotonic()
        raise InterruptedError

    with psycopg.connect(database.url) as other:
        if params == {"table": "t"}:
            other.execute("LOCK TABLE t")
        with pytest.raises(InterruptedError):
            database.extract(changes={"progress": stop}, **params)
        waited = time.monotonic() - told
        wait_until(lambda: database.sessions() == 0)
    assert waited < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading-")]


def test_a_cancel_is_heard_when_the_line_is_dead(database: Database) -> None:
    """No byte passes any more, so no cancel does either: the connection is cut at this end."""
    with TcpProxy(database.server.host, database.server.port) as proxy:

        def stop(metrics: Any) -> None:
            if metrics["rows_extracted"]:
                proxy.silent = True
            if proxy.silent:
                raise InterruptedError

        started = time.monotonic()
        with pytest.raises(InterruptedError):
            database.extract(database.connector(port=proxy.port), query=ENDLESS, changes={"progress": stop})
        assert time.monotonic() - started < 30
        proxy.silent = False


def test_a_cancel_is_heard_while_a_server_does_not_let_in(database: Database) -> None:
    def stop(metrics: Any) -> None:
        raise InterruptedError

    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(InterruptedError):
            database.connector(port=silent.getsockname()[1]).extract(
                request_for(DatabaseExtraction(table="t"), Path("unused"), progress=stop)
            )
        assert time.monotonic() - started < 15
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("reading-")])


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another process is about to do."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_snapshot_serves_the_bound_and_the_rows(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, pad text)", "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 60000) i"
    )
    inserted = threading.Event()

    def insert(metrics: Any) -> None:
        if not inserted.is_set():
            inserted.set()
            database.run("INSERT INTO t VALUES (99999999, 'late')")

    connector = database.connector(part_bytes=1 << 22)
    result, rows = database.extract(connector, table="t", incremental_key="id", changes={"progress": insert})
    assert result.cursor == Cursor("id", "60000")
    assert len(rows) == 60000


def test_describe_is_ready_for_json(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(20, 2), big numeric(30, 10), at timestamptz, day date, "
        "doc jsonb)",
        "COMMENT ON COLUMN t.price IS 'Price per unit'",
        "INSERT INTO t VALUES (1, 29.99, 12345678901234567890.0123456789, '2023-06-01T10:30:00Z', '2023-06-01', "
        """'{"a": [1]}'), (2, NULL, NULL, NULL, NULL, NULL)""",
    )
    described = database.connector().describe("t", 1)
    assert described.sample_rows == [
        {
            "id": 1,
            "price": 29.99,
            "big": "12345678901234567890.0123456789",
            "at": "2023-06-01T10:30:00Z",
            "day": "2023-06-01",
            "doc": {"a": [1]},
        }
    ]
    price = described.schema.get("price")
    assert price is not None
    assert (price.type, price.description) == (FieldType.NUMERIC, "Price per unit")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int8", "i - 500"),
        ("int2", "i"),
        ("numeric(20, 3)", "i / 8.0"),
        ("float8", "CASE i WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' WHEN 3 THEN 'Infinity' ELSE i / 3.0 END"),
        ("date", "CASE i WHEN 1 THEN 'infinity' ELSE date '2024-01-01' + i END"),
        ("timestamptz", "timestamptz '2024-01-01' + i * interval '1 hour'"),
        ("int4", "7"),
        ("int4", "NULL::int4"),
    ],
)
def test_parts_have_every_row_once(database: Database, kind: str, value: str) -> None:
    database.run(
        f"CREATE TABLE t (id int, k {kind})",
        f"INSERT INTO t SELECT i, CASE WHEN i % 10 > 0 THEN {value} END FROM generate_series(1, 1000) i",
    )
    result, rows = database.extract(table="t", partition_column="k", partitions=4)
    refused = [1] if "infinity" in value else []
    assert sorted([*refused, *(row["id"] for row in rows)]) == list(range(1, 1001))
    assert (result.rows, result.rejected) == (1000 - len(refused), len(refused))
    if value not in ("7", "NULL::int4"):
        assert len(result.files) == 4
        assert result.task_params["parts"] == "4"


def test_parts_are_of_one_snapshot_and_of_the_window(database: Database) -> None:
    database.run("CREATE TABLE t (id int PRIMARY KEY, at date, bad numeric)")
    database.run("INSERT INTO t SELECT i, date '2024-01-01' + i / 100, i FROM generate_series(1, 2000) i")
    database.run("UPDATE t SET bad = 'NaN' WHERE id = 1500")
    result, rows = database.extract(
        table="t",
        incremental_key="at",
        partition_column="id",
        partitions=3,
        changes={"cursor": Cursor("at", "2024-01-11")},
    )
    assert sorted(row["id"] for row in rows) == list(range(1000, 2001))
    assert (result.cursor, result.keys) == (Cursor("at", "2024-01-21"), ("id",))
    # An open decimal is settled by the values of all parts.
    assert result.schema.fields[2].type is FieldType.STRING


def test_parts_that_do_not_add_up_are_refused(database: Database) -> None:
    database.run("CREATE TABLE t AS SELECT generate_series(1, 2000) AS id")
    query = "SELECT id, random() AS k FROM t WHERE random() < 0.5"
    with pytest.raises(SourceChanged, match="does not give the same rows each time"):
        database.extract(query=query, partition_column="k", partitions=2)


def test_a_text_cannot_be_parted(database: Database) -> None:
    database.run("CREATE TABLE t (name text)")
    with pytest.raises(QueryFailed, match="a date or a timestamp, but 'name' is text"):
        database.extract(table="t", partition_column="name")


@pytest.mark.parametrize(("kind", "deleted"), [("boolean", "true"), ("timestamptz", "now()"), ("int", "1")])
def test_rows_marked_as_deleted_are_handed_over(database: Database, kind: str, deleted: str) -> None:
    database.run(f"CREATE TABLE t (id int, gone {kind})", f"INSERT INTO t VALUES (1, NULL), (2, {deleted})")
    result, rows = database.extract(table="t", deleted_column="gone")
    assert [row["id"] for row in rows] == [1, 2]
    assert result.rejected == 0


def test_a_text_cannot_mark_rows_as_deleted(database: Database) -> None:
    database.run("CREATE TABLE t (gone text)")
    with pytest.raises(SchemaMismatch, match="deleted_column 'gone' is text"):
        database.extract(table="t", deleted_column="gone")


def test_a_lookback_is_told_with_the_extraction(database: Database) -> None:
    database.run("CREATE TABLE t (id int)", "INSERT INTO t VALUES (1), (2), (3)")
    result, rows = database.extract(table="t", incremental_key="id", lookback=1, changes={"cursor": Cursor("id", "3")})
    assert [row["id"] for row in rows] == [2, 3]
    assert (result.cursor, result.read_from) == (Cursor("id", "3"), Cursor("id", "2"))


def test_tables_of_all_kinds_are_read(database: Database) -> None:
    database.run(
        "CREATE TABLE whole (id int PRIMARY KEY, day date) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high PARTITION OF whole FOR VALUES FROM (10) TO (20)",
        "INSERT INTO whole VALUES (1, '2024-01-01'), (11, '2024-01-02')",
        "CREATE MATERIALIZED VIEW kept AS SELECT id + 1 AS id FROM whole",
        "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
        f"CREATE SERVER me FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{database.server.host}', "
        f"port '{database.server.port}', dbname '{database.name}')",
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER me OPTIONS (user '{SUPERUSER}', password_required 'false')",
        "CREATE FOREIGN TABLE away (id int, day date) SERVER me OPTIONS (table_name 'whole')",
    )
    whole, rows = database.extract(table="whole")
    assert ([row["id"] for row in rows], whole.keys) == ([1, 11], ("id",))
    assert [row["id"] for row in database.extract(table="kept")[1]] == [2, 12]
    assert [row["id"] for row in database.extract(table="away")[1]] == [1, 11]
    assert database.connector().check(10).measurements["available_objects"] == 5


def test_a_renamed_column_is_told_by_its_name(database: Database) -> None:
    database.run("CREATE TABLE t (id int, at date)", "ALTER TABLE t RENAME at TO changed_at")
    with pytest.raises(Exception, match="has no column 'at'; it has id, changed_at") as caught:
        database.extract(table="t", incremental_key="at")
    assert getattr(caught.value, "code", None) == "OBJECT_NOT_FOUND"
    with pytest.raises(QueryFailed, match='column "at" does not exist') as refused:
        database.extract(query="SELECT at FROM t")
    assert refused.value.code == "QUERY_ERROR"
