"""`extraction_params` of installed connectors."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ingestion.model.extraction.base import ExtractionParams, as_columns
from ingestion.model.schema import SchemaField


class CustomExtraction(ExtractionParams):
    """What is read through an installed connector; `params` are the connector's own."""

    object: str = Field(min_length=1, description="Name of what is read, as the connector lists it.")
    params: dict[str, Any] = Field(default_factory=dict, description="Held against the connector's own model.")
    incremental_key: str | None = Field(default=None, min_length=1)
    primary_key: str | tuple[str, ...] | None = None
    schema_: tuple[SchemaField, ...] | None = Field(default=None, alias="schema", min_length=1)

    @property
    def cursor_column(self) -> str | None:
        """The column an incremental pipeline follows."""
        return self.incremental_key

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The declared primary key."""
        return as_columns(self.primary_key)

    @property
    def may_know_keys(self) -> bool:
        """A connector may know the key of an object."""
        return True
