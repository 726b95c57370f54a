"""How a bucket of Google Cloud Storage is reached."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.connections.base import ConnectionDetails, http_url
from ingestion.model.connections.google import GoogleAccess, require_tokens_stay_at_google


class GcsConnection(ConnectionDetails, GoogleAccess):
    """A bucket. `endpoint` points at an emulator or a private endpoint."""

    bucket_name: str = Field(min_length=1, max_length=222)
    file_pattern: str | None = Field(default=None, min_length=1)
    project_id: str | None = None
    endpoint: str | None = None

    @field_validator("bucket_name")
    @classmethod
    def _is_a_bucket_name(cls, name: str) -> str:
        if "/" in name or name in (".", "..") or "\0" in name:
            raise ValueError(f"{name!r} is not a bucket name: it may not contain '/' or be '.' or '..'")
        return name

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, endpoint: str | None) -> str | None:
        return http_url(endpoint)

    @model_validator(mode="after")
    def _keeps_tokens_at_google(self) -> Self:
        require_tokens_stay_at_google(self.endpoint, self)
        return self
