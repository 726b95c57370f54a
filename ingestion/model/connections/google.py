"""How a source of Google's proves who it is: the same fields for GCS, BIGQUERY and CLOUD_SQL."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ingestion.model.base import StrictModel
from ingestion.model.references import SecretReference

_GOOGLE_HOST = re.compile(r"([a-z0-9-]+\.)*googleapis\.com")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SERVICE_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def _check_account(account: str) -> str:
    if not _SERVICE_ACCOUNT.fullmatch(account):
        raise ValueError(f"{account!r} is not a service account, such as loader@my-project.iam.gserviceaccount.com")
    return account


ServiceAccount = Annotated[str, AfterValidator(_check_account)]


class GoogleAccess(StrictModel):
    """The identity used at Google. With no field set it is the deployment's own (Application Default Credentials)."""

    credentials_secret: SecretReference | None = Field(
        default=None,
        description="Reference to the JSON of a service account key, used instead of the deployment's own.",
    )
    impersonate_service_account: ServiceAccount | None = Field(
        default=None, description="Service account to act as; the identity above needs Token Creator on it."
    )
    impersonation_delegates: tuple[ServiceAccount, ...] | None = Field(
        default=None, min_length=1, description="Service accounts between the two, each Token Creator on the next."
    )

    @field_validator("impersonation_delegates")
    @classmethod
    def _lead_to_an_account(cls, delegates: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if delegates is not None and info.data.get("impersonate_service_account") is None:
            raise ValueError("delegates lead nowhere without impersonate_service_account")
        return delegates

    @property
    def has_own_identity(self) -> bool:
        """Whether the source says itself who it is at Google."""
        return self.credentials_secret is not None or self.impersonate_service_account is not None


def is_google_endpoint(url: str) -> bool:
    """Whether an address is one of Google's own, public or private, reached by TLS."""
    parts = urlsplit(url)
    return parts.scheme == "https" and _GOOGLE_HOST.fullmatch((parts.hostname or "").lower()) is not None


def may_receive_tokens(url: str) -> bool:
    """Whether access tokens of Google may be sent there: to Google, or to this machine."""
    return is_google_endpoint(url) or urlsplit(url).hostname in _LOOPBACK


def require_tokens_stay_at_google(endpoint: str | None, access: GoogleAccess) -> None:
    """Raise ValueError when an identity's tokens would be sent to somebody else's server."""
    if endpoint is not None and access.has_own_identity and not may_receive_tokens(endpoint):
        raise ValueError(
            f"credentials are sent to *.googleapis.com by https only, not to {endpoint}; leave endpoint away, "
            f"or leave credentials_secret and impersonate_service_account away: other servers are spoken to without"
        )
