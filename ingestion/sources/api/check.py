"""The connection test of an API, step by step, so that a failure says which step it was."""

from __future__ import annotations

import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    ObjectMissing,
    QueryFailed,
    SecretUnavailable,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)
from ingestion.model.connections import ApiConnection
from ingestion.sources.api.addresses import address_of, origin
from ingestion.sources.api.client import ApiClient
from ingestion.sources.api.request import ApiRequest, resolved_headers
from ingestion.sources.base import ConnectionReport, ConnectorContext

_LONGEST_WAIT = 120.0


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

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note a failure in the block as the step's."""
        try:
            yield
        except ExecutionFailure as error:
            self.checks.append({"name": _step_of(error, name), "passed": False, "message": error.message})
            raise

    def tick(self) -> None:
        """Raise when the time is over."""
        if time.monotonic() > self.deadline:
            raise TimedOut("The API did not answer in the time of the test")


def check_connection(connection: ApiConnection, context: ConnectorContext, timeout_seconds: float) -> ConnectionReport:
    """Take the steps until one fails or all are done, within about `timeout_seconds`."""
    started = time.monotonic()
    steps = _Steps(started + min(timeout_seconds, _LONGEST_WAIT))
    error: ExecutionFailure | None = None
    permissions: list[str] = []
    try:
        _reach(connection, steps)
        permissions = _ask(connection, context, steps)
    except ExecutionFailure as failure:
        error = failure
    results: dict[str, Any] = {
        "permissions": permissions,
        "missing_permissions": ["read"] if isinstance(error, SourcePermissionDenied) else [],
        "checks": steps.checks,
    }
    if error is not None:
        results |= {"error_code": error.code, "reason": error.message}
    return ConnectionReport(error is None, {"latency_ms": round((time.monotonic() - started) * 1000)}, results)


def _reach(connection: ApiConnection, steps: _Steps) -> None:
    scheme, host, port = origin(connection.endpoint_url)
    assert port is not None
    with steps.step("name_resolution"):
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectionFailed(f"The host name '{host}' cannot be resolved: {error}") from error
    steps.passed("name_resolution", f"{host} is {found[0][4][0]}")
    with steps.step("tcp"):
        opened = _connected(host, port, steps.left)
    steps.passed("tcp", f"{host}:{port} accepts connections")
    with opened, steps.step("tls"):
        if scheme != "https":
            steps.passed("tls", "not encrypted: the address begins with http")
            return
        steps.passed("tls", _handshake(opened, host, connection.verify_ssl is not False))


def _connected(host: str, port: int, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((host, port), seconds)
    except TimeoutError as error:
        raise TimedOut(f"{host}:{port} did not answer in time") from error
    except OSError as error:
        raise ConnectionFailed(f"{host}:{port} cannot be reached: {error}") from error


def _handshake(opened: socket.socket, host: str, verify: bool) -> str:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(opened, server_hostname=host) as secure:
            return f"{secure.version()}, certificate {'checked' if verify else 'not checked: verify_ssl is false'}"
    except ssl.SSLCertVerificationError as error:
        raise TlsFailed(f"The certificate of {host} is not trusted: {error.verify_message}") from error
    except TimeoutError as error:
        raise TimedOut(f"{host} did not answer in time") from error
    except OSError as error:
        raise TlsFailed(f"No encrypted connection to {host}: {error}") from error


def _ask(connection: ApiConnection, context: ConnectorContext, steps: _Steps) -> list[str]:
    """Ask for the endpoint itself; the permissions that this proves."""
    with (
        steps.step("read"),
        tempfile.TemporaryDirectory(prefix="check-") as folder,
        ApiClient(connection, context, Path(folder), timeout_seconds=steps.left, retry_seconds=0) as client,
    ):
        address = address_of(connection.endpoint_url, client.resolve)
        request = ApiRequest("GET", address, resolved_headers(connection.headers or {}, client.resolve))
        method = connection.auth_method or "none"
        try:
            answer = client.fetch(request, steps.tick)
        except (ObjectMissing, QueryFailed) as error:
            # An API need not have anything at its root; that it says so proves the credentials all the same.
            if "status" not in error.facts:
                raise
            steps.passed("authentication", f"{method}: not refused")
            steps.passed(
                "read", f"nothing to read at endpoint_url itself ({error.facts['status']}); paths were not tried"
            )
            return []
        steps.passed("authentication", f"{method}: accepted" if method != "none" else "none")
        told = answer.content_type or "no content type"
        steps.passed("read", f"{answer.shown} answered {answer.status} with {told}, {answer.size} bytes")
        return ["read"]


def _step_of(error: ExecutionFailure, step: str) -> str:
    """Which part of asking failed."""
    if step != "read":
        return step
    if isinstance(error, SourceAuthenticationFailed | SecretUnavailable):
        return "authentication"
    return "tls" if isinstance(error, TlsFailed) else "read"
