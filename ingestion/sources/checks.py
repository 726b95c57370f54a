"""The sub-checks of a connection test: named steps, taken in order until one fails."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ingestion.errors import ConnectionFailed, ExecutionFailure, SourcePermissionDenied, TimedOut, TlsFailed
from ingestion.sources.base import ConnectionReport

Result = TypeVar("Result")

_PERMISSIONS = ("read", "list")
_LEAST_SECONDS = 0.1


@dataclass
class Checks:
    """The steps taken so far, each with its outcome. A step `list` or `read` that was run proves that permission."""

    timeout_seconds: float
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    proven: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the test has to be over; never 0, which some clients take for "for ever"."""
        return max(self.started + self.timeout_seconds - time.monotonic(), _LEAST_SECONDS)

    def run(self, name: str, attempt: Callable[[], Result], message: Callable[[Result], str]) -> Result:
        """The attempt's result, noted as a check; its failure is noted too, and raised."""
        with self.step(name):
            result = attempt()
        self.note(name, message(result))
        self.proven.add(name)
        return result

    def note(self, name: str, message: str) -> None:
        """Note a step as passed, without a proof of a permission."""
        self.outcomes.append({"name": name, "passed": True, "message": message})

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note a failure in the block as that of the step; success is noted by the caller."""
        try:
            yield
        except ExecutionFailure as error:
            self.outcomes.append({"name": name, "passed": False, "message": error.message})
            raise

    def tick(self) -> None:
        """Raises TimedOut when the test has to be over."""
        if time.monotonic() > self.started + self.timeout_seconds:
            raise TimedOut(f"The source did not answer within the {self.timeout_seconds:g} s of the test")

    def report(self, measured: Mapping[str, Any], error: ExecutionFailure | None = None) -> ConnectionReport:
        """What was found; with the error that ended the test, if any."""
        failed = [check["name"] for check in self.outcomes if not check["passed"]]
        results: dict[str, Any] = {
            "permissions": [name for name in _PERMISSIONS if name in self.proven],
            "missing_permissions": failed if isinstance(error, SourcePermissionDenied) else [],
            "checks": self.outcomes,
        }
        if error is not None:
            results |= {"error_code": error.code, "reason": error.message}
        latency = {"latency_ms": round((time.monotonic() - self.started) * 1000)}
        return ConnectionReport(error is None, {**latency, **measured}, results)


def reach_host(checks: Checks, host: str, port: int) -> None:
    """The sub-checks `name_resolution` and `tcp`."""
    checks.run("name_resolution", lambda: resolved(host, port), lambda found: f"{host} is {found}")
    checks.run("tcp", lambda: _connected(host, port, checks.left), lambda _: f"{host}:{port} accepts connections")


def reach_tls(checks: Checks, host: str, port: int, context: ssl.SSLContext) -> None:
    """The sub-check `tls`: a handshake with the server's certificate verified as `context` says."""
    verdict = "not checked" if context.verify_mode is ssl.CERT_NONE else "trusted"

    def handshake() -> str:
        try:
            with (
                socket.create_connection((host, port), checks.left) as plain,
                context.wrap_socket(plain, server_hostname=host) as secure,
            ):
                return secure.version() or "TLS"
        except TimeoutError as error:
            raise TimedOut(f"{host}:{port} did not finish the TLS handshake in time") from error
        except ssl.SSLCertVerificationError as error:
            raise TlsFailed(f"The certificate of {host} is not trusted: {error.verify_message}") from error
        except OSError as error:
            raise TlsFailed(f"No TLS connection to {host}:{port}: {error}") from error

    checks.run("tls", handshake, lambda version: f"{version}, the certificate is {verdict}")


def resolved(host: str, port: int) -> str:
    """The first address of a host. Raises ConnectionFailed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(f"The host name '{host}' cannot be resolved: {error}") from error
    return str(found[0][4][0])


def _connected(host: str, port: int, timeout_seconds: float) -> None:
    try:
        socket.create_connection((host, port), timeout_seconds).close()
    except TimeoutError as error:
        raise TimedOut(f"{host}:{port} did not answer within {timeout_seconds:.0f} s") from error
    except OSError as error:
        raise ConnectionFailed(f"{host}:{port} cannot be reached: {error}") from error
