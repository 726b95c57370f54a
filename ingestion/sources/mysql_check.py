"""The connection test of a MySQL source, step by step, so that a failure says which step it was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

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
from ingestion.sources.base import ConnectionReport, ConnectorContext
from ingestion.sources.checks import Checks, reach_host
from ingestion.sources.cloud_sql import Endpoint, endpoint_of
from ingestion.sources.mysql_connection import PORT, Login, Session, login_of, session
from ingestion.sources.mysql_types import identifier
from ingestion.sources.watching import Watching

# The catalogue shows a table to those who have any right to it.
_TABLES = """
SELECT table_name, COALESCE(data_length + index_length, 0), table_type = 'BASE TABLE'
FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name
"""
_SHOWN = 3
_TRIED = 20


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
            login = login_of(connection, context, endpoint, checks.left, checks.left)
            opened = _enter(checks, login, until_done)
            measured |= _look(checks, opened)
    except ExecutionFailure as error:
        return checks.report(measured, error)
    return checks.report(measured)


def _reach(checks: Checks, endpoint: Endpoint) -> None:
    if endpoint.is_forwarded:
        checks.note("cloud_sql", "the instance was found, and reached over TLS with its own certificate")
    elif endpoint.host is not None:
        reach_host(checks, endpoint.host, endpoint.port or PORT)


def _enter(checks: Checks, login: Login, until_done: ExitStack) -> Session:
    """A session that is open until done."""
    try:
        opened = until_done.enter_context(session(login, Watching(lambda: None)))
    except ExecutionFailure as error:
        with checks.step(_step_of(error)):
            raise
    if not login.endpoint.is_forwarded:
        checks.note("tls", _encryption(opened, login.sslmode))
    checks.note("authentication", f"logged in as {opened.user}")
    return opened


def _encryption(opened: Session, sslmode: str) -> str:
    if not opened.is_encrypted:
        return "not encrypted"
    is_verified = sslmode.startswith("verify")
    return f"encrypted; the server {'and its name are verified' if is_verified else 'is not verified'}"


def _look(checks: Checks, opened: Session) -> Mapping[str, Any]:
    """Which tables there are, and which of them can be read."""
    found = checks.run("list", lambda: opened.texts(_TABLES), lambda rows: f"{len(rows)} tables and views")
    refused = [str(name) for name, _, _ in found[:_TRIED] if not _is_readable(opened, str(name))]

    def read() -> None:
        if found and len(refused) == min(len(found), _TRIED):
            raise SourcePermissionDenied(
                f"The user '{opened.user}' may read none of the tables, such as {', '.join(refused[:_SHOWN])}; grant "
                f"SELECT on them, and see that views are of tables that exist"
            )

    denied = f"; not {', '.join(refused[:_SHOWN])}" if refused else ""
    checks.run("read", read, lambda _: f"{len(found) - len(refused)} of {len(found)} tables can be read{denied}")
    readable = [row for row in found if row[0] not in refused]
    return {"available_objects": len(readable), "total_size_bytes": sum(int(row[1] or 0) for row in readable)}


def _is_readable(opened: Session, table: str) -> bool:
    """Whether the server lets us; a view may be listed and broken, which says nothing about the others."""
    try:
        opened.rows(f"SELECT 1 FROM {identifier(table)} LIMIT 0")
    except (SourcePermissionDenied, ObjectMissing, QueryFailed):
        return False
    return True


def _step_of(error: ExecutionFailure) -> str:
    """Which part of connecting failed."""
    if isinstance(error, TlsFailed):
        return "tls"
    if isinstance(error, ConnectionFailed | TimedOut):
        return "connection"
    return "authentication" if isinstance(error, SourceAuthenticationFailed) else "database"
