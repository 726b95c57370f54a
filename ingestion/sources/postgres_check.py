"""The connection test of a PostgreSQL source, step by step, so that a failure says which step it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectionReport, ConnectorContext
from ingestion.sources.checks import Checks, reach_host
from ingestion.sources.cloud_sql import Endpoint, endpoint_of
from ingestion.sources.postgres_connection import Login, Session, address_of, session, statement_failure

_TABLES = """
SELECT n.nspname, c.relname, pg_table_size(c.oid), c.relkind IN ('r', 'm'),
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
"""
_SHOWN = 3


def check_connection(
    connection: CloudSqlConnection, context: ConnectorContext, timeout_seconds: float
) -> ConnectionReport:
    """Take the steps until one fails or all are done, within about `timeout_seconds`."""
    checks = Checks(timeout_seconds)
    measured: dict[str, Any] = {}
    try:
        with ExitStack() as until_done:
            with checks.step("cloud_sql" if connection.instance_name is not None else "address"):
                endpoint = until_done.enter_context(endpoint_of(connection, context, seconds=checks.left))
            _reach(checks, endpoint)
            opened = _enter(checks, Login(connection, context, endpoint, checks.left, checks.left), until_done)
            measured |= _look(checks, opened)
    except ExecutionFailure as error:
        return checks.report(measured, error)
    return checks.report(measured)


def _reach(checks: Checks, endpoint: Endpoint) -> None:
    if endpoint.is_forwarded:
        checks.note("cloud_sql", "the instance was found, and reached over TLS with its own certificate")
        return
    address = address_of(endpoint)
    if not address.is_socket:
        reach_host(checks, address.host, address.port)


def _enter(checks: Checks, login: Login, until_done: ExitStack) -> Session:
    """A session that is open until done."""
    try:
        opened = until_done.enter_context(session(login))
    except ExecutionFailure as error:
        with checks.step(_step_of(error)):
            raise
    if not login.endpoint.is_forwarded:
        checks.note("tls", _encryption(opened, login.connection))
    checks.note("authentication", f"logged in as {opened.info.user}")
    return opened


def _encryption(opened: Session, connection: CloudSqlConnection) -> str:
    if not opened.pgconn.ssl_in_use:
        return "not encrypted"
    if connection.sslmode == "verify-full":
        return "encrypted; the server's certificate and name are verified"
    # With a root certificate, libpq verifies for "require" as for "verify-ca".
    if connection.sslmode == "verify-ca" or (connection.sslmode == "require" and connection.ssl_root_cert):
        return "encrypted; the server's certificate is verified, its name is not"
    return "encrypted; the server is not verified"


def _look(checks: Checks, opened: Session) -> Mapping[str, Any]:
    """Which tables there are, and that one of those with the right to it can be read."""

    def listed() -> Sequence[tuple[Any, ...]]:
        with _only_our_errors():
            return opened.execute(_TABLES).fetchall()

    found = checks.run("list", listed, lambda rows: f"{len(rows)} tables and views")
    readable = [row for row in found if row[4]]

    def read() -> None:
        if found and not readable:
            raise SourcePermissionDenied(
                f"The user '{opened.info.user}' may read none of the {len(found)} tables, such as {_named(found)}; "
                f"grant USAGE on the schema and SELECT on the tables"
            )
        for schema, table, *_ in [row for row in readable if row[3]][:1]:
            with _only_our_errors():
                opened.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(schema, table))).fetchall()

    refused = [row for row in found if not row[4]]
    denied = f"; not {_named(refused)}" if refused else ""
    checks.run("read", read, lambda _: f"{len(readable)} of {len(found)} tables can be read{denied}")
    return {"available_objects": len(readable), "total_size_bytes": sum(int(row[2] or 0) for row in readable)}


def _named(rows: Sequence[tuple[Any, ...]]) -> str:
    names = [f"{row[0]}.{row[1]}" for row in rows[:_SHOWN]]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


@contextmanager
def _only_our_errors() -> Iterator[None]:
    """The driver's errors as ours, so that they are noted with the step they end."""
    try:
        yield
    except psycopg.Error as error:
        raise statement_failure(error) from None


def _step_of(error: ExecutionFailure) -> str:
    """Which part of connecting failed."""
    if isinstance(error, TlsFailed):
        return "tls"
    if isinstance(error, ConnectionFailed | TimedOut):
        return "connection"
    return "authentication" if isinstance(error, SourceAuthenticationFailed) else "database"
