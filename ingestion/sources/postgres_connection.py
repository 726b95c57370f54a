"""Connections to PostgreSQL that can only read, and its errors as ours."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import psycopg
from psycopg import sql

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
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

Session = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 20.0
STATEMENT_SECONDS = 3600.0
_log = logging.getLogger(__name__)
_PORT = 5432
_APPLICATION = "ingestion"
_QUOTED = re.compile(r'"[^"]*"')
# It can only read, and texts mean the same whatever the server's own settings are.
_SETTINGS = {
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "0",  # The session whose snapshot others read waits for them.
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}


@dataclass(frozen=True)
class Address:
    """Where the server is: a host, or the folder of a unix socket."""

    host: str
    port: int
    is_socket: bool


@dataclass(frozen=True)
class Login:
    """All that a session needs. A statement may take `statement_seconds`, a connection `connect_seconds`."""

    connection: CloudSqlConnection
    context: ConnectorContext
    endpoint: Endpoint
    statement_seconds: float | None = None
    connect_seconds: float = CONNECT_SECONDS


def address_of(endpoint: Endpoint) -> Address:
    """The endpoint as libpq wants it: for the path of a socket (.s.PGSQL.5432) its folder and number."""
    if endpoint.unix_socket is None:
        return Address(endpoint.host or "localhost", endpoint.port or _PORT, is_socket=False)
    path = PurePosixPath(endpoint.unix_socket)
    if path.name.startswith(".s.PGSQL.") and path.name.rpartition(".")[2].isdigit():
        return Address(str(path.parent), int(path.name.rpartition(".")[2]), is_socket=True)
    return Address(endpoint.unix_socket, endpoint.port or _PORT, is_socket=True)


@contextmanager
def session(login: Login, snapshot: str | None = None) -> Iterator[Session]:
    """A read-only session in one snapshot; every error that leaves it is an ExecutionFailure without secrets.

    `snapshot` is that of another session, which has to be open still.
    """
    credentials = login.connection.credentials
    password = None
    if credentials is not None and credentials.password_secret is not None:
        password = login.context.resolve_secret(credentials.password_secret)
    try:
        opened = _connect(login, password)
    except psycopg.Error as error:
        raise login.endpoint.failure() or _connect_failure(error, password) from None
    try:
        with opened:
            opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            opened.read_only = True
            if snapshot is not None:
                opened.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
            yield opened
    except psycopg.Error as error:
        raise statement_failure(error, password) from None


def _connect(login: Login, password: str | None) -> Session:
    connection, address = login.connection, address_of(login.endpoint)
    seconds = STATEMENT_SECONDS if login.statement_seconds is None else login.statement_seconds
    settings = _SETTINGS | {"statement_timeout": str(max(1, round(seconds * 1000)))}
    return psycopg.connect(
        host=address.host,
        port=address.port,
        dbname=connection.database,
        user=login.endpoint.user or (connection.credentials.username if connection.credentials else None),
        password=password,
        sslmode="disable" if address.is_socket else connection.sslmode or "prefer",
        sslrootcert=connection.ssl_root_cert,
        connect_timeout=max(2, round(login.connect_seconds)),
        application_name=_APPLICATION,
        client_encoding="UTF8",
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        keepalives=1,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
    )


def snapshot_of(opened: Session) -> str:
    """What the session sees, for others to see the same while it is open."""
    row = opened.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    return str(row[0])


def interrupt_of(opened: Session) -> Callable[[bool], None]:
    """Ends what the session waits for: the server cancels the statement, at last the connection is cut."""

    def interrupt(by_force: bool) -> None:
        if opened.closed:
            return
        try:
            if by_force:
                _cut(opened.pgconn.socket)
            else:
                opened.cancel_safe(timeout=1.0)
        except (psycopg.Error, OSError) as error:
            # The next attempt follows, at last by force; a connection that is closed by now needs none.
            _log.debug("a session could not be interrupted: %s", type(error).__name__)

    return interrupt


def _cut(descriptor: int) -> None:
    """End the connection below the client library, which notices at once."""
    copy = socket.socket(fileno=os.dup(descriptor))
    with copy:
        copy.shutdown(socket.SHUT_RDWR)


def _connect_failure(error: psycopg.Error, password: str | None) -> ExecutionFailure:
    text = _without(str(error), password)
    # Names in quotes (of hosts, databases, users) are the client's and say nothing about what went wrong.
    lowered = _QUOTED.sub('""', text.lower())
    if isinstance(error, psycopg.errors.ConnectionTimeout) or "timeout expired" in lowered:
        return TimedOut(f"The database server did not answer in time: {text}")
    if 'database "' in lowered and "does not exist" in lowered:
        return ObjectMissing(f"The database does not exist: {text}")
    if "permission denied for database" in lowered:
        return SourcePermissionDenied(f"The database does not let this user in: {text}")
    refusals = ("authentication", "no password supplied", "no pg_hba.conf entry", 'role "', "not permitted to log in")
    if any(refusal in lowered for refusal in refusals):
        return SourceAuthenticationFailed(f"The database refused the credentials: {text}")
    if any(sign in lowered for sign in ("ssl", "certificate", "tls")):
        return TlsFailed(f"The encrypted connection to the database could not be made: {text}")
    return ConnectionFailed(f"The database cannot be reached: {text}")


def statement_failure(error: psycopg.Error, password: str | None = None) -> ExecutionFailure:
    """A statement's error by its SQLSTATE; a query's has the position."""
    state = error.sqlstate or ""
    text = _without((error.diag.message_primary or str(error)).strip(), password)
    if state in ("42P01", "3F000", "3D000"):
        return ObjectMissing(f"The database has no such object: {text}")
    if state == "42501":
        return SourcePermissionDenied(f"The database user lacks a right: {text}")
    if state == "57014":
        return TimedOut(f"The database did not finish the query in time: {text}")
    if state.startswith("28"):
        return SourceAuthenticationFailed(f"The database refused the credentials: {text}")
    if state[:2] in ("", "08", "53", "57", "40"):
        return ConnectionFailed(f"The connection to the database broke: {text}")
    position = error.diag.statement_position
    place = f" (at character {position})" if position else ""
    return QueryFailed(f"The database refused the query: {text}{place}", sqlstate=state)


def _without(text: str, password: str | None) -> str:
    return text.replace(password, "***") if password else text
