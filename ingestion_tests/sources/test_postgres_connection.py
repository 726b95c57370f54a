"""Sessions that can only read, and errors as ours."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ingestion.errors import ConnectionFailed, ObjectMissing, QueryFailed, SourcePermissionDenied, TimedOut
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.postgres_connection import Address, address_of, session, statement_failure


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
    assert address_of(CloudSqlConnection.model_validate({"database": "d", **details})) == address


def test_a_session_reads_in_one_snapshot_and_speaks_utc(
    postgres_source: CloudSqlConnection, context: ConnectorContext
) -> None:
    with session(postgres_source, context, statement_seconds=5) as opened:
        settings = ("TimeZone", "transaction_read_only", "transaction_isolation", "statement_timeout")
        found = [opened.execute("SELECT current_setting(%s)", [name]).fetchone() for name in settings]
    assert found == [("UTC",), ("on",), ("repeatable read",), ("5s",)]
    with pytest.raises(QueryFailed, match="read-only"), session(postgres_source, context) as opened:
        opened.execute("CREATE TABLE t (id int)")


@pytest.mark.parametrize("folder", ["ssl", "certificate", "authentication", "role "])
def test_the_words_of_a_name_are_no_reason(context: ConnectorContext, folder: str) -> None:
    """The server's address is in the message; what it is called says nothing about what went wrong."""
    connection = CloudSqlConnection(database="d", unix_socket=f"/nowhere/{folder}")
    with pytest.raises(ConnectionFailed), session(connection, context):
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
