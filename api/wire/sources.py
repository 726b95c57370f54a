"""Sources on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.wire.envelopes import Instant, Metadata, WireModel
from ingestion.clock import to_wire
from ingestion.model.base import StrictModel
from ingestion.model.schema import FieldMode, FieldType
from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.sources.base import ObjectDescription

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Description = Annotated[str, StringConstraints(max_length=4000)]

DEFAULT_SCHEMA_VERSION = "1.0"
DEFAULT_TIMEOUT_SECONDS = 30


class SourceBody(StrictModel):
    """A source as clients define it. `connection_details` is checked by the source type's own model."""

    name: Name
    source_type: SourceType
    connection_details: dict[str, Any]
    schema_version: str = Field(default=DEFAULT_SCHEMA_VERSION, min_length=1, max_length=255)
    description: Description | None = None
    is_active: bool = True


class SourceChanges(BaseModel):
    """An update: merged into the source as RFC 7396 says. null clears a field, source_type cannot change."""

    name: Name | None = None
    source_type: SourceType | None = None
    connection_details: dict[str, Any] | None = None
    schema_version: str | None = None
    description: Description | None = None
    is_active: bool | None = None


class TestParameters(StrictModel):
    """How to test a connection."""

    timeout_seconds: float = Field(default=DEFAULT_TIMEOUT_SECONDS, gt=0, le=120)


class ConnectionTest(StrictModel):
    """A connection to test, without creating a source."""

    source_type: SourceType
    connection_details: dict[str, Any]
    test_parameters: TestParameters | None = None

    @property
    def timeout_seconds(self) -> float:
        """How long the test may take."""
        return (self.test_parameters or TestParameters()).timeout_seconds


class SourceShown(WireModel):
    """A source as it is read. Lists leave `credentials` out of the connection details."""

    source_id: str
    name: str
    source_type: SourceType
    connection_details: dict[str, Any]
    schema_version: str
    description: str | None
    is_active: bool
    created_at: Instant
    updated_at: Instant
    created_by: str
    updated_by: str
    status: SourceStatus


class ConnectionTested(WireModel):
    """Result of a connection test; a failed test is a success of this endpoint."""

    status: Literal["success"]
    message: str
    metadata: Metadata
    connection_successful: bool
    connection_details: dict[str, Any]
    test_results: dict[str, Any]


class FieldShown(WireModel):
    """A column, in BigQuery's terms."""

    name: str
    type: FieldType
    mode: FieldMode
    description: str
    precision: int | None = None
    scale: int | None = None
    fields: list[FieldShown] | None = None


class SchemaShown(WireModel):
    """The schema of an object in a source, with a few rows of it."""

    object_name: str
    fields: list[FieldShown]
    sample_data: list[dict[str, Any]]


class TypeShown(WireModel):
    """A kind of source."""

    type: SourceType
    display_name: str
    description: str
    supported_formats: list[str] | None = None
    supported_engines: list[str] | None = None


class TypesShown(WireModel):
    """All kinds of source."""

    source_types: list[TypeShown]


SOURCE_TYPES: Sequence[Mapping[str, Any]] = (
    {
        "type": "GCS",
        "display_name": "Google Cloud Storage",
        "description": "Files stored in Google Cloud Storage buckets",
        "supported_formats": ["CSV", "JSON", "AVRO", "PARQUET", "ORC"],
    },
    {
        "type": "CLOUD_SQL",
        "display_name": "Cloud SQL",
        "description": "Google Cloud SQL databases (MySQL, PostgreSQL)",
        "supported_engines": ["MYSQL", "POSTGRESQL"],
    },
    {"type": "BIGQUERY", "display_name": "BigQuery", "description": "Google BigQuery datasets and tables"},
    {
        "type": "API",
        "display_name": "External API",
        "description": "External REST or GraphQL APIs",
        "supported_formats": ["JSON", "XML"],
    },
    {
        "type": "SFTP",
        "display_name": "SFTP Server",
        "description": "Secure File Transfer Protocol servers",
        "supported_formats": ["CSV", "JSON", "XML", "TEXT"],
    },
    {
        "type": "CUSTOM",
        "display_name": "Custom Connector",
        "description": "Custom-developed data source connector",
    },
)
"""The contract's own words."""

MASKED = "***"


def definition_of(source: Source) -> dict[str, Any]:
    """The part of a source that its clients define."""
    return {name: shown for name, shown in show_source(source).items() if name in SourceBody.model_fields}


def show_source(source: Source) -> dict[str, Any]:
    """A source as it is read alone."""
    return {
        "source_id": source.source_id,
        "name": source.name,
        "source_type": source.source_type.value,
        "connection_details": source.connection_details,
        "schema_version": source.schema_version,
        "description": source.description,
        "is_active": source.is_active,
        "created_at": to_wire(source.created_at),
        "updated_at": to_wire(source.updated_at),
        "created_by": source.created_by,
        "updated_by": source.updated_by,
        "status": source.status.value,
    }


def show_source_in_list(source: Source) -> dict[str, Any]:
    """A source as one of many: without credentials, as in the contract's list (wire decision 27)."""
    details = {name: value for name, value in source.connection_details.items() if name != "credentials"}
    return show_source(source) | {"connection_details": details}


def show_schema(found: ObjectDescription, may_see_values: bool) -> dict[str, Any]:
    """An object's schema. Without the right to see them, sample values are masked (wire decision 36)."""
    rows = [dict(row) for row in found.sample_rows]
    if not may_see_values:
        rows = [{name: None if value is None else MASKED for name, value in row.items()} for row in rows]
    return {
        "object_name": found.object_name,
        "fields": [field.wire() for field in found.schema.fields],
        "sample_data": rows,
    }
