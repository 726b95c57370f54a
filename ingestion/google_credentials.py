"""Google credentials, made one way for every client: a key, impersonation, the deployment's own, or none.

Which identity: the service account key of `credentials_secret` when a source has one, else Application Default
Credentials; then `impersonate_service_account`, when given, is acted as. A server that is not Google's is spoken
to without credentials. Nothing here opens a connection but `google_login` where only a metadata server can answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
)
from ingestion.model.connections.google import GoogleAccess, is_google_endpoint, may_receive_tokens
from ingestion.settings import DefaultCredentials

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
SETTING = "INGESTION_GOOGLE_CREDENTIALS"
NO_PROJECT = "ingestion"
"""The project of clients without credentials, which the servers that accept those do not look at."""

_PRODUCT_NAME = Path("/sys/class/dmi/id/product_name")
_METADATA_VARIABLES = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
_SERVERLESS_VARIABLES = ("K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL", "GAE_RUNTIME")
_KEY_FIELDS = ("client_email", "private_key", "token_uri")
_SHOWN = 300


class GoogleLogin(NamedTuple):
    """What a Google client is made with: the credentials, and the project they belong to where they tell it."""

    credentials: Credentials
    project_id: str | None
    is_anonymous: bool = False


def google_login(
    access: GoogleAccess,
    resolve_secret: Callable[[str], str],
    default: DefaultCredentials = "auto",
    *,
    endpoint: str | None = None,
    scopes: Sequence[str] = (CLOUD_PLATFORM,),
) -> GoogleLogin:
    """The credentials `access` stands for; no token is fetched yet.

    `endpoint` is the server's address where it is not Google's usual one: elsewhere than at Google nothing is proven,
    unless the server is on this machine and `access` has an identity of its own.
    Raises SourceAuthenticationFailed when there are no credentials or the key is none, SecretUnavailable.
    """
    if endpoint is not None and not _proves_identity(access, endpoint):
        return _anonymous()
    if access.credentials_secret is not None:
        login = _of_key(resolve_secret(access.credentials_secret), access.credentials_secret, scopes)
    else:
        login = _default(default, scopes)
    if access.impersonate_service_account is None:
        return login
    return _impersonated(login, access.impersonate_service_account, access.impersonation_delegates or (), scopes)


def has_default_credentials(
    default: DefaultCredentials, environment: Mapping[str, str] | None = None, product_name: Path = _PRODUCT_NAME
) -> bool:
    """Whether the deployment has an identity at Google, told without asking the network.

    The signs are those google.auth goes by: a credentials variable, gcloud's file, a metadata server that is named
    or known to be there (Compute Engine and GKE by the machine's product name, Cloud Run and App Engine by their
    variables).
    """
    if default != "auto":
        return default == "adc"
    variables = os.environ if environment is None else environment
    if variables.get("GOOGLE_APPLICATION_CREDENTIALS") or _has_gcloud_file(variables):
        return True
    if variables.get("NO_GCE_CHECK") == "true":
        return False
    named = (*_METADATA_VARIABLES, *_SERVERLESS_VARIABLES)
    return any(variables.get(name) for name in named) or _is_googles_machine(product_name)


def login_failure(what: str, error: Exception) -> ExecutionFailure:
    """A google.auth error, met while `what` was used, as ours."""
    from google.auth import exceptions as auth

    reason = str(error.args[0] if error.args else error)[:_SHOWN]
    if isinstance(error, auth.InvalidOperation):  # What it says is about the refresh of credentials that are none.
        return SourceAuthenticationFailed(
            f"{what} asks for credentials, but its server is not Google's and is spoken to without; "
            f"leave the source's endpoint away, or give the source a credentials_secret"
        )
    if isinstance(error, auth.TransportError) or getattr(error, "retryable", False):
        return ConnectionFailed(f"Google's token service, needed for {what}, cannot be reached: {reason}")
    if isinstance(error, auth.RefreshError) and "impersonated" in reason:
        details = str(error.args[1])[:_SHOWN] if len(error.args) > 1 else ""
        return SourcePermissionDenied(
            f"The service account to act as for {what} cannot be used: {reason} {details}; grant "
            f"roles/iam.serviceAccountTokenCreator on it, and check its name and its delegates"
        )
    return SourceAuthenticationFailed(f"The Google credentials do not open {what}: {reason}")


def _proves_identity(access: GoogleAccess, endpoint: str) -> bool:
    return is_google_endpoint(endpoint) or (access.has_own_identity and may_receive_tokens(endpoint))


def _anonymous() -> GoogleLogin:
    from google.auth.credentials import AnonymousCredentials

    return GoogleLogin(AnonymousCredentials(), NO_PROJECT, is_anonymous=True)  # type: ignore[no-untyped-call]


def _of_key(text: str, reference: str, scopes: Sequence[str]) -> GoogleLogin:
    """A service account key. No message has a part of it: json's and the key parser's own would."""
    from google.oauth2 import service_account

    key = _parsed_key(text, reference)
    try:
        credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            key, scopes=list(scopes)
        )
    except Exception:
        raise SourceAuthenticationFailed(
            f"The secret '{reference}' holds a service account key whose private_key cannot be read; make a new key"
        ) from None
    project = key.get("project_id")
    return GoogleLogin(credentials, project if isinstance(project, str) else None)


def _parsed_key(text: str, reference: str) -> Mapping[str, Any]:
    try:
        key = json.loads(text)
    except ValueError:
        key = None
    if not isinstance(key, dict):
        raise SourceAuthenticationFailed(
            f"The secret '{reference}' is not a service account key: it must be the JSON that Google gives out for one"
        )
    if key.get("type") != "service_account":
        raise SourceAuthenticationFailed(
            f"The secret '{reference}' is not a service account key: its 'type' must be 'service_account'; "
            f"other credentials are set for the whole deployment by GOOGLE_APPLICATION_CREDENTIALS"
        )
    missing = [name for name in _KEY_FIELDS if not isinstance(key.get(name), str) or not key[name]]
    if missing:
        raise SourceAuthenticationFailed(f"The service account key of '{reference}' lacks {', '.join(missing)}")
    return key


def _default(default: DefaultCredentials, scopes: Sequence[str]) -> GoogleLogin:
    if not has_default_credentials(default):
        why = f"{SETTING} is 'none'" if default == "none" else "none are set, and this is not a machine of Google's"
        raise SourceAuthenticationFailed(
            f"There are no Google credentials: {why}. Set GOOGLE_APPLICATION_CREDENTIALS, run 'gcloud auth "
            f"application-default login', give the source a credentials_secret, or set {SETTING}=adc"
        )
    import google.auth
    from google.auth import exceptions as auth

    try:
        credentials, project = google.auth.default(scopes=list(scopes))
    except auth.GoogleAuthError as error:
        raise login_failure("this source", error) from error
    except (OSError, ValueError) as error:
        # Its text may hold a part of the file.
        raise SourceAuthenticationFailed(
            f"The default Google credentials cannot be read: {type(error).__name__}; look at the file that "
            f"GOOGLE_APPLICATION_CREDENTIALS names"
        ) from None
    return GoogleLogin(credentials, project)


def _impersonated(login: GoogleLogin, account: str, delegates: Sequence[str], scopes: Sequence[str]) -> GoogleLogin:
    from google.auth import impersonated_credentials

    credentials = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=login.credentials,
        target_principal=account,
        target_scopes=list(scopes),
        delegates=list(delegates),
    )
    return GoogleLogin(credentials, login.project_id)


def _has_gcloud_file(environment: Mapping[str, str]) -> bool:
    home = environment.get("HOME")
    folder = environment.get("CLOUDSDK_CONFIG") or (home and os.path.join(home, ".config", "gcloud"))
    return bool(folder) and os.path.isfile(os.path.join(str(folder), "application_default_credentials.json"))


def _is_googles_machine(product_name: Path) -> bool:
    try:
        return product_name.read_text(errors="replace").strip().startswith("Google")
    except OSError:
        return False  # No such file: not Linux, or no firmware tables.
