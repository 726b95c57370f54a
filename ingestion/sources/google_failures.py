"""The errors of Google's storage client as ours, and which of them may pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    FileMissing,
    RateLimited,
    SourceAuthenticationFailed,
    SourceChanged,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)
from ingestion.google_credentials import login_failure
from ingestion.sources.base import ObjectVersion

_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_SHOWN = 400


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later: lost connections, time-outs, an overloaded server."""
    import requests
    import urllib3
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    if isinstance(error, google.GoogleAPICallError):
        return error.code in _PASSING_STATUSES
    if isinstance(error, auth.GoogleAuthError):
        return isinstance(error, auth.TransportError) or bool(getattr(error, "retryable", False))
    if isinstance(error, requests.exceptions.SSLError):
        return False  # A certificate that is not trusted stays so.
    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, (*lost, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError))


@contextmanager
def storage_failures(what: str, version: ObjectVersion | None = None) -> Iterator[None]:
    """The client's errors as ours. With a `version`, "not found" means that it was replaced or deleted."""
    import requests
    import urllib3
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    try:
        yield
    except (google.NotFound, google.PreconditionFailed) as error:
        if version is not None:
            raise SourceChanged(f"{what} was replaced or deleted while it was read", object=version.name) from error
        raise FileMissing(
            f"The bucket {what} does not exist; check bucket_name, and that this identity may see it", bucket=what
        ) from error
    except (
        google.GoogleAPIError,
        auth.GoogleAuthError,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
        TimeoutError,
    ) as error:
        cause = error.cause if isinstance(error, google.RetryError) else error
        raise _failure(what, cause or TimeoutError()) from error


def _failure(what: str, cause: BaseException) -> ExecutionFailure:
    import requests
    import urllib3
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    told = str(getattr(cause, "message", "") or cause)[:_SHOWN]
    match cause:
        case google.Forbidden():
            return SourcePermissionDenied(
                f"No right to read {what}: {told}; roles/storage.objectViewer on the bucket is enough"
            )
        case google.Unauthorized():
            return SourceAuthenticationFailed(f"The Google credentials do not open {what}: {told}")
        case auth.GoogleAuthError():
            return login_failure(what, cause)
        case google.TooManyRequests():
            return RateLimited(f"{what}: too many requests: {told}")
        case requests.exceptions.SSLError() | urllib3.exceptions.SSLError():
            return TlsFailed(f"No encrypted connection to {what}: {told}")
        case requests.Timeout() | urllib3.exceptions.TimeoutError() | google.GatewayTimeout() | TimeoutError():
            return TimedOut(f"{what} did not answer in time")
        case _:
            return ConnectionFailed(f"{what} cannot be reached: {told}")
