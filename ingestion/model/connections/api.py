"""How a REST or GraphQL API is reached: its address, its credentials, its pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from ingestion.model.base import StrictModel
from ingestion.model.connections.base import ConnectionDetails, http_url, without_plain_secrets
from ingestion.model.connections.pagination import Pagination
from ingestion.model.problems import join_problems, problems_of
from ingestion.model.references import SecretReference

AuthMethod = Literal["none", "basic", "bearer", "api_key", "oauth2"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The client writes these itself; two of them would not agree.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


class NoAuth(StrictModel):
    """No credentials."""


class BasicAuth(StrictModel):
    """A user name and a password."""

    username: str = Field(min_length=1)
    password_secret: SecretReference


class BearerAuth(StrictModel):
    """A token that does not expire while it is used."""

    token_secret: SecretReference


class ApiKeyAuth(StrictModel):
    """A key in a header, or in the query of every request."""

    key_secret: SecretReference
    name: str = Field(default="X-API-Key", min_length=1)
    location: Literal["header", "query"] = "header"

    @model_validator(mode="after")
    def _name_fits_a_header(self) -> Self:
        if self.location == "header" and not _HEADER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a header name")
        return self


class OAuth2Auth(StrictModel):
    """OAuth 2.0 client credentials; the token is fetched from `token_url` and refreshed before it expires."""

    client_id: str = Field(min_length=1)
    client_secret_secret: SecretReference
    token_url: str
    scope: str | None = Field(default=None, min_length=1)
    audience: str | None = Field(default=None, min_length=1)
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"

    @field_validator("token_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return str(http_url(url))


Auth = NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth

AUTH_MODELS: Mapping[str, type[Auth]] = {
    "none": NoAuth,
    "basic": BasicAuth,
    "bearer": BearerAuth,
    "api_key": ApiKeyAuth,
    "oauth2": OAuth2Auth,
}


def checked_headers(headers: dict[str, str] | None) -> dict[str, str] | None:
    """`headers` themselves when they can be sent; else ValueError."""
    for name, value in (headers or {}).items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header {name!r} is written by the client itself")
        if any(character in value for character in "\r\n\0"):
            raise ValueError(f"the header {name!r} may not have line breaks in its value")
    return headers


class ApiConnection(ConnectionDetails):
    """A REST or GraphQL endpoint. Header values may be secret references."""

    endpoint_url: str
    auth_method: AuthMethod | None = None
    auth_config: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    pagination: Pagination | None = None
    rate_limit: float | None = Field(default=None, gt=0, description="Requests per second.")
    verify_ssl: bool | None = None
    timeout_seconds: float | None = Field(default=None, gt=0, le=3600)
    retry_seconds: float | None = Field(default=None, ge=0, le=86_400)

    @field_validator("endpoint_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return str(http_url(url))

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        return checked_headers(headers)

    @model_validator(mode="after")
    def _holds_no_plain_secret(self) -> Self:
        return without_plain_secrets(self, "auth_config", "headers")

    @model_validator(mode="after")
    def _has_what_its_method_needs(self) -> Self:
        if self.auth_method is None and self.auth_config:
            raise ValueError(f"auth_config needs an auth_method, one of {', '.join(get_args(AuthMethod))}")
        self.auth()
        return self

    def auth(self) -> Auth:
        """The credentials as their method's model. Raises ValueError naming what is missing or unknown."""
        model = AUTH_MODELS[self.auth_method or "none"]
        try:
            return model.model_validate(self.auth_config or {})
        except ValidationError as error:
            raise ValueError(join_problems(problems_of(error, model, "auth_config"))) from None
