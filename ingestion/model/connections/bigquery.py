"""How a BigQuery dataset is reached."""

from __future__ import annotations

from pydantic import Field

from ingestion.model.connections.base import ConnectionDetails


class BigQueryConnection(ConnectionDetails):
    """A BigQuery dataset."""

    project_id: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    table: str | None = None
    location: str | None = None
