"""Which installed connector a CUSTOM source uses."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from ingestion.model.connections.base import ConnectionDetails, without_plain_secrets


class CustomConnection(ConnectionDetails):
    """A connector installed as a Python entry point."""

    connector: str = Field(min_length=1)
    config: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_no_plain_secret(self) -> Self:
        return without_plain_secrets(self, "config")
