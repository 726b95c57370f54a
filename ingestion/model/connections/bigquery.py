"""How a BigQuery dataset is reached."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.connections.base import ConnectionDetails, http_url
from ingestion.model.connections.google import GoogleAccess, require_tokens_stay_at_google


class BigQueryConnection(ConnectionDetails, GoogleAccess):
    """A BigQuery dataset. Queries run, and are paid for, in `project_id`.

    `endpoint` (REST) and `storage_endpoint` (host:port of the Storage Read API) point at an emulator or a private
    endpoint; with an `endpoint` alone rows are read by REST.
    """

    project_id: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    table: str | None = None
    location: str | None = None
    endpoint: str | None = None
    storage_endpoint: str | None = Field(default=None, pattern=r"^[^:/\s]+:\d+$")

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, endpoint: str | None) -> str | None:
        return http_url(endpoint)

    @model_validator(mode="after")
    def _keeps_tokens_at_google(self) -> Self:
        require_tokens_stay_at_google(self.endpoint, self)
        if self.storage_endpoint is not None:
            require_tokens_stay_at_google(f"https://{self.storage_endpoint}", self)
        return self
