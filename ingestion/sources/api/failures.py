"""What an answer's status, or the lack of an answer, means for an execution."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    ObjectMissing,
    QueryFailed,
    RateLimited,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)

if TYPE_CHECKING:
    from ingestion.sources.api.answers import Answer

_TOO_MANY = 429
_BUSY = frozenset({408, 425, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529, 598, 599})


def is_rate_limit(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a refusal is about how often is asked; some servers say so with 403."""
    if status == _TOO_MANY:
        return True
    return status == 403 and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0")


def is_passing(status: int) -> bool:
    """Whether the same request may be answered later."""
    return status in _BUSY


def failure_of(answer: Answer) -> ExecutionFailure:
    """The failure an answer stands for that is not a success."""
    status, head = answer.status, answer.head()
    said = f"{answer.shown} answered {status}" + (f": {head}" if head else "")
    facts = {"url": answer.shown, "status": status}
    if status == 401:
        return SourceAuthenticationFailed(f"{said}. Check auth_method, auth_config and the secret behind it", **facts)
    if is_rate_limit(status, answer.headers):
        return RateLimited(said, **facts)
    if status == 403:
        return SourcePermissionDenied(f"{said}. The credentials are known but lack a right", **facts)
    if status in (404, 410):
        return ObjectMissing(f"{said}. Check endpoint_url and path", **facts)
    if status in _BUSY:
        kind = TimedOut if status in (408, 504) else ConnectionFailed
        return kind(said, **facts)
    return QueryFailed(f"{said}. Check path, method, params and body", **facts)


def gave_up(failure: ExecutionFailure, attempts: int, seconds: float, asked: float | None) -> ExecutionFailure:
    """The same failure, telling how long it was borne."""
    tried = f"{attempts} attempts in {seconds:.1f} s" if attempts > 1 else "1 attempt"
    wish = f"; it asks to wait {asked:.0f} s, longer than retry_seconds allows" if asked is not None else ""
    return type(failure)(f"{failure.message} ({tried}{wish})", **failure.facts)


def connection_failure(error: BaseException, shown: str, timeout_seconds: float) -> ExecutionFailure:
    """The failure a client's error stands for."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        return TlsFailed(
            f"The certificate of {shown} is not trusted: {reason}. Trust its authority on the worker, "
            f"or set verify_ssl to false where that is acceptable"
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return TlsFailed(f"No encrypted connection to {shown}: {_reason(error.os_error)}. Does the server speak TLS?")
    if isinstance(error, asyncio.TimeoutError):
        return TimedOut(f"{shown} sent nothing for {timeout_seconds:g} s")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectionFailed(f"The host name of {shown} cannot be resolved: {_reason(error.os_error)}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectionFailed(f"{shown} cannot be reached: {_reason(error.os_error)}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return ConnectionFailed(f"The connection to {shown} broke in the middle of an answer")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
        return ConnectionFailed(f"The connection to {shown} broke before an answer came")
    return ConnectionFailed(f"{shown} did not answer as HTTP says: {type(error).__name__}")


def _reason(error: object) -> str:
    """What the system says, without the object around it."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
