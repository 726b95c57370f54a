"""Secrets in Google Secret Manager, read by the deployment's own identity.

Nothing is kept: each read asks again, so that a rotated secret counts at once, and the channel is closed after it,
so that no process inherits one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ingestion.errors import ExecutionFailure, SecretUnavailable, SecretUnreachable
from ingestion.google_credentials import google_login
from ingestion.model.connections.google import GoogleAccess, is_google_endpoint
from ingestion.settings import DefaultCredentials

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

TIMEOUT_SECONDS = 15.0
_ATTEMPT_SECONDS = 6.0
_VERSIONS = "/versions/"
_LATEST = "latest"
_SHOWN = 300


def read_secret(
    reference: str,
    endpoint: str | None = None,
    default: DefaultCredentials = "auto",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> bytes:
    """The payload of `projects/P/secrets/S[/versions/V]`; the latest version unless one is named.

    `endpoint` is host:port; one outside googleapis.com is spoken to without TLS and credentials. Raises
    SecretUnavailable, and SecretUnreachable where the same read may succeed later.
    """
    name = reference if _VERSIONS in reference else f"{reference}{_VERSIONS}{_LATEST}"
    client = _client(reference, endpoint, default)
    with client:
        response = _asked(reference, lambda: client.access_secret_version(name=name, **_patience(timeout_seconds)))
    return _checked(reference, response)


def _client(reference: str, endpoint: str | None, default: DefaultCredentials) -> SecretManagerServiceClient:
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport,
    )

    if endpoint is not None and not is_google_endpoint(f"https://{endpoint}"):
        import grpc  # type: ignore[import-untyped]

        channel = grpc.insecure_channel(endpoint)
        return SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
    credentials = _credentials(reference, default)
    options = {"api_endpoint": endpoint} if endpoint else None
    return SecretManagerServiceClient(credentials=credentials, client_options=options)


def _credentials(reference: str, default: DefaultCredentials) -> Any:
    """Credentials that have a token: met later, their failures would look like an unreachable server."""
    from google.auth import exceptions as auth
    from google.auth.transport.requests import Request

    try:
        credentials = google_login(GoogleAccess(), _no_secret, default).credentials
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except ExecutionFailure as error:
        raise SecretUnavailable(f"'{reference}' cannot be read: {error.message}") from error
    except auth.TransportError as error:
        raise SecretUnreachable(f"'{reference}' cannot be read: Google's token service is out of reach") from error
    except auth.GoogleAuthError as error:
        kind = SecretUnreachable if getattr(error, "retryable", False) else SecretUnavailable
        raise kind(f"'{reference}' cannot be read: the deployment's Google credentials are refused: {error}") from error
    return credentials


def _no_secret(reference: str) -> str:
    raise SecretUnavailable(f"'{reference}' cannot be read with itself")


def _patience(timeout_seconds: float) -> dict[str, Any]:
    from google.api_core import exceptions as google
    from google.api_core.retry import Retry, if_exception_type

    transient = if_exception_type(google.ServiceUnavailable, google.ResourceExhausted, google.DeadlineExceeded)
    retry = Retry(predicate=transient, initial=0.2, maximum=2.0, timeout=timeout_seconds)
    return {"timeout": min(timeout_seconds, _ATTEMPT_SECONDS), "retry": retry}


def _asked(reference: str, ask: Callable[[], Any]) -> Any:
    from google.api_core import exceptions as google

    try:
        return ask()
    except google.GoogleAPIError as error:
        cause = error.cause if isinstance(error, google.RetryError) and error.cause is not None else error
        raise _failure(reference, cause) from error


def _failure(reference: str, cause: BaseException) -> SecretUnavailable:
    from google.api_core import exceptions as google

    told = str(getattr(cause, "message", "") or cause)[:_SHOWN]
    if isinstance(cause, google.NotFound):
        return SecretUnavailable(f"'{reference}' cannot be read: Secret Manager has no such secret or version")
    if isinstance(cause, google.PermissionDenied | google.Forbidden):
        return SecretUnavailable(
            f"'{reference}' cannot be read: the deployment's identity needs roles/secretmanager.secretAccessor on it "
            f"({told})"
        )
    if isinstance(cause, google.Unauthenticated | google.Unauthorized):
        return SecretUnavailable(f"'{reference}' cannot be read: Secret Manager refused the credentials ({told})")
    if isinstance(cause, google.FailedPrecondition | google.InvalidArgument):
        return SecretUnavailable(f"'{reference}' cannot be read: {told}; is that version enabled?")
    if isinstance(cause, google.ResourceExhausted | google.TooManyRequests):
        return SecretUnreachable(f"'{reference}' cannot be read now: Secret Manager's quota is used up ({told})")
    return SecretUnreachable(f"'{reference}' cannot be read now: Secret Manager did not answer ({told})")


def _checked(reference: str, response: Any) -> bytes:
    """The payload, if it arrived as it was stored."""
    import google_crc32c

    payload = response.payload
    data = bytes(payload.data)
    if "data_crc32c" not in payload or payload.data_crc32c != google_crc32c.value(data):
        # Sent again it may be whole.
        raise SecretUnreachable(f"'{reference}' cannot be read: the value arrived damaged, its checksum differs")
    return data
