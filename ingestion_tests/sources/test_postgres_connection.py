"""Sessions that can only read, and errors as ours."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from ingestion.errors import (
    ConnectionFailed,
    ObjectMissing,
    QueryFailed,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.cloud_sql import Endpoint
from ingestion.sources.postgres_connection import (
    Address,
    Login,
    address_of,
    interrupt_of,
    session,
    snapshot_of,
    statement_failure,
)
from ingestion_tests.servers.postgres import PASSWORD
from ingestion_tests.servers.tcp_proxy import TcpProxy
from ingestion_tests.sources.postgres_workbench import ENDLESS, READER, WRONG, Database, login


@pytest.mark.parametrize(
    ("details", "address"),
    [
        ({"host": "h"}, Address("h", 5432, False)),
        ({"host": "h", "port": 6}, Address("h", 6, False)),
        ({"unix_socket": "/run/pg"}, Address("/run/pg", 5432, True)),
        ({"unix_socket": "/run/pg", "port": 6}, Address("/run/pg", 6, True)),
        ({"unix_socket": "/run/pg/.s.PGSQL.7"}, Address("/run/pg", 7, True)),
        ({"unix_socket": "/cloudsql/p:r:i"}, Address("/cloudsql/p:r:i", 5432, True)),
    ],
)
def test_addresses(details: dict[str, Any], address: Address) -> None:
    assert address_of(Endpoint(**details)) == address


def test_a_session_reads_in_one_snapshot_and_speaks_utc(database: Database) -> None:
    with session(login(database.connection(), database.context, 5)) as opened:
        settings = ("TimeZone", "transaction_read_only", "transaction_isolation", "statement_timeout")
        found = [opened.execute("SELECT current_setting(%s)", [name]).fetchone() for name in settings]
    assert found == [("UTC",), ("on",), ("repeatable read",), ("5s",)]
    with pytest.raises(QueryFailed, match="read-only"), session(login(database.connection(), database.context)) as one:
        one.execute("CREATE TABLE t (id int)")


def test_sessions_share_a_snapshot(database: Database) -> None:
    database.run("CREATE TABLE t (id int)")
    to_all = login(database.connection(), database.context)
    with session(to_all) as first:
        snapshot = snapshot_of(first)
        database.run("INSERT INTO t VALUES (1)")
        with session(to_all, snapshot) as second, session(to_all) as third:
            counts = [one.execute("SELECT count(*) FROM t").fetchone() for one in (first, second, third)]
    assert counts == [(0,), (0,), (1,)]


@pytest.mark.parametrize("by_force", [False, True])
def test_a_session_that_waits_can_be_interrupted(database: Database, by_force: bool) -> None:
    to_all = login(database.connection(), database.context)
    opened = []

    def wait() -> None:
        with session(to_all) as one:
            opened.append(one)
            threading.Timer(0.2, interrupt_of(one), [by_force]).start()
            one.execute("SELECT pg_sleep(60)")

    with pytest.raises(ConnectionFailed if by_force else TimedOut):
        wait()
    interrupt_of(opened[0])(by_force)
    assert opened[0].closed


@pytest.mark.parametrize("folder", ["ssl", "certificate", "authentication", "role "])
def test_the_words_of_a_name_are_no_reason(context: ConnectorContext, folder: str) -> None:
    """The server's address is in the message; what it is called says nothing about what went wrong."""
    connection = CloudSqlConnection(database="d", unix_socket=f"/nowhere/{folder}")
    with (
        pytest.raises(ConnectionFailed),
        session(Login(connection, context, Endpoint(unix_socket=connection.unix_socket))),
    ):
        pytest.fail("connected to nothing")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (psycopg.errors.UndefinedTable, ObjectMissing),
        (psycopg.errors.InsufficientPrivilege, SourcePermissionDenied),
        (psycopg.errors.QueryCanceled, TimedOut),
        (psycopg.errors.AdminShutdown, ConnectionFailed),
        (psycopg.errors.SerializationFailure, ConnectionFailed),
        (psycopg.errors.DivisionByZero, QueryFailed),
        (psycopg.OperationalError, ConnectionFailed),
    ],
)
def test_statement_errors_by_their_state(error: type[psycopg.Error], failure: type[Exception]) -> None:
    told = statement_failure(error("the password is hunter2"), "hunter2")
    assert type(told) is failure
    assert "the password is ***" in told.message


def test_passwords_open_and_wrong_ones_never_show(database: Database) -> None:
    database.run("CREATE TABLE t (id int)")
    assert database.extract(database.connector(**READER), table="t")[0].rows == 0
    with pytest.raises(SourceAuthenticationFailed) as caught:
        database.extract(database.connector(**WRONG), table="t")
    assert "battery-staple-7" not in caught.value.message
    assert caught.value.__cause__ is None
    report = database.connector(**WRONG).check(5)
    assert report.results["error_code"] == "AUTHENTICATION_FAILED"
    assert "battery-staple-7" not in str(report)
    assert PASSWORD not in str(database.connector(**READER).check(5))


def test_a_table_without_the_right_to_read_it_is_denied(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int)",
        f"DROP ROLE IF EXISTS weak_{database.name}",
        f"CREATE ROLE weak_{database.name} LOGIN",
    )
    connector = database.connector(credentials={"username": f"weak_{database.name}"})
    with pytest.raises(SourcePermissionDenied):
        database.extract(connector, table="t")
    report = connector.check(5)
    assert report.results["missing_permissions"] == ["read"]
    assert not report.successful


def test_the_unix_socket_works_by_folder_and_by_path(database: Database) -> None:
    folder = str(database.server.socket_dir)
    database.run("CREATE TABLE t (id int)")
    by_folder = database.connector(host=None, unix_socket=folder)
    by_path = database.connector(host=None, port=None, unix_socket=f"{folder}/.s.PGSQL.{database.server.port}")
    assert database.extract(by_folder, table="t")[0].rows == 0
    assert by_path.check(5).successful


def test_failures_to_connect_are_told_apart(database: Database) -> None:
    closed = database.connector(port=1)
    with pytest.raises(ConnectionFailed):
        database.extract(closed, table="t")
    assert closed.check(3).results["checks"][-1]["name"] == "tcp"
    nameless = database.connector(host="no-such-host.invalid")
    assert nameless.check(3).results["checks"][-1]["name"] == "name_resolution"
    with pytest.raises(TlsFailed):
        database.extract(database.connector(sslmode="require"), table="t")
    assert database.connector(sslmode="require").check(3).results["checks"][-1]["name"] == "tls"


def test_a_query_that_takes_too_long_is_a_timeout(database: Database) -> None:
    with pytest.raises(TimedOut):
        database.extract(query="SELECT pg_sleep(30)", statement_timeout_seconds=1)


def test_a_connection_that_breaks_while_rows_come_is_a_failed_connection(database: Database) -> None:
    with pytest.raises(ConnectionFailed):
        database.extract(query=ENDLESS, changes={"progress": lambda metrics: database.cut()})


def test_a_line_that_is_cut_while_rows_come_is_a_failed_connection(database: Database) -> None:
    """The server ends no session here: bytes stop in the middle of a row."""
    with TcpProxy(database.server.host, database.server.port) as proxy:
        proxy.cut_after = 3_000_000
        with pytest.raises(ConnectionFailed, match="broke"):
            database.extract(database.connector(port=proxy.port), query=ENDLESS)
