"""How a REST or GraphQL API is reached."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.connections.base import ConnectionDetails, http_url, without_plain_secrets


class ApiConnection(ConnectionDetails):
    """A REST or GraphQL endpoint."""

    endpoint_url: str
    auth_method: Literal["none", "basic", "bearer", "api_key", "oauth2"] | None = None
    auth_config: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    pagination: dict[str, Any] | None = None
    rate_limit: float | None = Field(default=None, gt=0)
    verify_ssl: bool | None = None

    @field_validator("endpoint_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return str(http_url(url))

    @model_validator(mode="after")
    def _holds_no_plain_secret(self) -> Self:
        return without_plain_secrets(self, "auth_config", "headers")
