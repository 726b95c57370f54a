"""Connections to PostgreSQL that can only read, and its errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import psycopg

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

Session = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 20.0
STATEMENT_SECONDS = 3600.0
_PORT = 5432
_APPLICATION = "ingestion"
_QUOTED = re.compile(r'"[^"]*"')
# Texts that mean the same whatever the server's own settings are.
_SETTINGS = {
    "default_transaction_read_only": "on",
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


def address_of(connection: CloudSqlConnection) -> Address:
    """The server's address. Raises ConnectionFailed for an instance name, which only Google's connector resolves."""
    if connection.unix_socket is not None:
        return _socket_address(connection.unix_socket, connection.port)
    if connection.host is None:
        raise ConnectionFailed(
            f"The instance '{connection.instance_name}' cannot be reached by its name: connections through the "
            f"Cloud SQL connector are not in this version. Set host (and port) or unix_socket instead, for example "
            f"of a Cloud SQL Auth Proxy"
        )
    return Address(connection.host, connection.port or _PORT, is_socket=False)


def _socket_address(socket: str, port: int | None) -> Address:
    """libpq wants the folder; a path of the socket itself (.s.PGSQL.5432) names folder and port."""
    path = PurePosixPath(socket)
    if path.name.startswith(".s.PGSQL.") and path.name.rpartition(".")[2].isdigit():
        return Address(str(path.parent), int(path.name.rpartition(".")[2]), is_socket=True)
    return Address(socket, port or _PORT, is_socket=True)


@contextmanager
def session(
    connection: CloudSqlConnection,
    context: ConnectorContext,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    statement_seconds: float = STATEMENT_SECONDS,
) -> Iterator[Session]:
    """A read-only session in one snapshot; every error that leaves it is an ExecutionFailure without secrets."""
    address = address_of(connection)
    credentials = connection.credentials
    password = None
    if credentials is not None and credentials.password_secret is not None:
        password = context.resolve_secret(credentials.password_secret)
    settings = _SETTINGS | {"statement_timeout": str(round(statement_seconds * 1000))}
    try:
        opened = psycopg.connect(
            host=address.host,
            port=address.port,
            dbname=connection.database,
            user=credentials.username if credentials else None,
            password=password,
            sslmode=connection.sslmode or "prefer",
            sslrootcert=connection.ssl_root_cert,
            connect_timeout=max(2, round(connect_seconds)),
            application_name=_APPLICATION,
            client_encoding="UTF8",
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            keepalives=1,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except psycopg.Error as error:
        raise _connect_failure(error, password) from None
    try:
        with opened:
            opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            opened.read_only = True
            yield opened
    except psycopg.Error as error:
        raise statement_failure(error, password) from None


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
