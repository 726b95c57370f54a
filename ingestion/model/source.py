"""Sources: where data comes from."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from ingestion.model.base import StrictModel
from ingestion.model.connections import CONNECTION_MODELS, ConnectionDetails
from ingestion.model.source_type import SourceType as SourceType


class SourceStatus(StrEnum):
    """What is known about reaching a source; set by schema reads and executions (wire decision 32)."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class Source(StrictModel):
    """A stored source. `connection_details` is what the client sent, already checked by its type's model."""

    source_id: str
    name: str
    source_type: SourceType
    connection_details: dict[str, Any]
    schema_version: str
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
    created_by: str
    updated_by: str
    status: SourceStatus
    version: int = Field(ge=1, description="Raised by every update; the entity tag.")

    def connection(self) -> ConnectionDetails:
        """The connection details as their type's model."""
        return CONNECTION_MODELS[self.source_type].model_validate(self.connection_details)
