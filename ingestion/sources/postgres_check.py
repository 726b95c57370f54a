"""The connection test of a PostgreSQL source, step by step, so that a failure says which step it was."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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
from ingestion.sources.postgres_connection import Address, Session, address_of, session

_READABLE = """
SELECT count(*), count(*) FILTER (WHERE readable), coalesce(sum(size) FILTER (WHERE readable), 0) FROM (
    SELECT has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable,
           pg_table_size(c.oid) AS size
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
) AS relations
"""


@dataclass
class _Steps:
    """The steps taken so far, each with its outcome."""

    deadline: float
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.1)

    def passed(self, name: str, message: str) -> None:
        self.checks.append({"name": name, "passed": True, "message": message})

    def failed(self, name: str, message: str) -> None:
        self.checks.append({"name": name, "passed": False, "message": message})

    @contextmanager
    def step(self, name: Callable[[ExecutionFailure], str] | str) -> Iterator[None]:
        """Note a failure in the block as the step's."""
        try:
            yield
        except ExecutionFailure as error:
            self.failed(name if isinstance(name, str) else name(error), error.message)
            raise


def check_connection(
    connection: CloudSqlConnection, context: ConnectorContext, timeout_seconds: float
) -> ConnectionReport:
    """Take the steps until one fails or all are done, within about `timeout_seconds`."""
    started = time.monotonic()
    steps = _Steps(started + timeout_seconds)
    measured: dict[str, Any] = {}
    permissions: list[str] = []
    error: ExecutionFailure | None = None
    try:
        with steps.step("address"):
            address = address_of(connection)
        _reach(address, steps)
        measured["latency_ms"] = _milliseconds(started)
        _enter(connection, context, steps, measured, permissions)
    except ExecutionFailure as failure:
        error = failure
    measured["latency_ms"] = _milliseconds(started)
    results: dict[str, Any] = {
        "permissions": permissions,
        "missing_permissions": ["read"] if isinstance(error, SourcePermissionDenied) else [],
        "checks": steps.checks,
    }
    if error is not None:
        results |= {"error_code": error.code, "reason": error.message}
    return ConnectionReport(error is None, measured, results)


def _reach(address: Address, steps: _Steps) -> None:
    if address.is_socket:
        return
    with steps.step("name_resolution"):
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectionFailed(f"The host name '{address.host}' cannot be resolved: {error}") from error
    steps.passed("name_resolution", f"{address.host} is {found[0][4][0]}")
    with steps.step("tcp"):
        try:
            socket.create_connection((address.host, address.port), steps.left).close()
        except TimeoutError as error:
            raise TimedOut(f"{address.host}:{address.port} did not answer in time") from error
        except OSError as error:
            raise ConnectionFailed(f"{address.host}:{address.port} cannot be reached: {error}") from error
    steps.passed("tcp", f"{address.host}:{address.port} accepts connections")


def _enter(
    connection: CloudSqlConnection,
    context: ConnectorContext,
    steps: _Steps,
    measured: dict[str, Any],
    permissions: list[str],
) -> None:
    is_open = False
    with (
        steps.step(lambda error: "read" if is_open else _step_of(error)),
        session(connection, context, connect_seconds=steps.left, statement_seconds=steps.left) as opened,
    ):
        is_open = True
        steps.passed("tls", "encrypted" if opened.pgconn.ssl_in_use else "not encrypted")
        steps.passed("authentication", f"logged in as {opened.info.user}")
        total, readable, size = _readable(opened)
        if total and not readable:
            raise SourcePermissionDenied(f"The user '{opened.info.user}' may read none of the {total} tables")
        permissions += ["read", "list"]
        measured["available_objects"] = readable
        measured["total_size_bytes"] = size
        steps.passed("read", f"{readable} of {total} tables can be read")


def _readable(opened: Session) -> tuple[int, int, int]:
    row = opened.execute(_READABLE).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def _step_of(error: ExecutionFailure) -> str:
    """Which part of connecting failed."""
    if isinstance(error, TlsFailed):
        return "tls"
    if isinstance(error, ConnectionFailed | TimedOut):
        return "connection"
    return "authentication" if isinstance(error, SourceAuthenticationFailed) else "database"


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
