"""Sources and the warehouse as Dagster resources: what the UI shows of them, and how steps reach them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from ingestion.model.connections import GcsConnection
from ingestion.model.source import Source, SourceType
from ingestion.settings import Settings
from ingestion.sources.base import ConnectorContext
from ingestion.sources.buckets import leads_to_google

WAREHOUSE_KEY = "warehouse"


class SourceFields(dg.Config):
    """What the API knows of a source. Secrets are references, here as everywhere."""

    source_id: str = Field(description="The source's id in the API.")
    name: str = Field(description="The source's name in the API.")
    source_type: str = Field(description="GCS, CLOUD_SQL, BIGQUERY, API, SFTP or CUSTOM.")
    connection_details: dict[str, Any] = Field(description="How the source is reached; secrets by reference only.")
    schema_version: str = Field(description="The version its owner gave to the source's schema.")
    is_active: bool = Field(description="Whether pipelines of this source run on their schedules.")


def source_fields(source: Source) -> dict[str, Any]:
    """The fields of a stored source."""
    return {
        "source_id": source.source_id,
        "name": source.name,
        "source_type": source.source_type.value,
        "connection_details": source.connection_details,
        "schema_version": source.schema_version,
        "is_active": source.is_active,
    }


class SourceResource(dg.ConfigurableResource[Any], SourceFields):
    """A stored source that is reached by a connector of the service alone."""


class DuckDbWarehouseResource(dg.ConfigurableResource[Any]):
    """The embedded warehouse: one DuckDB file per dataset."""

    folder: str = Field(description="Folder of the `<dataset>.duckdb` files.")


def source_resource(source: Source, context: ConnectorContext) -> dg.ConfigurableResource[Any]:
    """The resource of a stored source: one of dagster-gcp's where it is at Google, else one of the service's own."""
    if source.source_type is SourceType.BIGQUERY:
        from ingestion.orchestration.google_resources import BigQuerySourceResource

        return BigQuerySourceResource.of(source)
    if source.source_type is SourceType.GCS and _is_at_google(source, context):
        from ingestion.orchestration.google_resources import GcsSourceResource

        return GcsSourceResource.of(source)
    return SourceResource(**source_fields(source))


def warehouse_resource(settings: Settings) -> dg.ConfigurableResource[Any]:
    """The resource of the settings' warehouse."""
    if settings.warehouse == "bigquery":
        from ingestion.orchestration.google_resources import BigQueryWarehouseResource

        return BigQueryWarehouseResource.of(settings)
    return DuckDbWarehouseResource(folder=str(settings.warehouse_dir))


def _is_at_google(source: Source, context: ConnectorContext) -> bool:
    try:
        connection = source.connection()
    except ValueError:
        return False  # A source that is not valid any more must not take the others along; using it says why.
    return isinstance(connection, GcsConnection) and leads_to_google(connection, context)


def resource_keys(sources: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """A Dagster resource key for each (source_id, name), in the given order: the first of two alike keeps its name."""
    keys: dict[str, str] = {}
    taken = {WAREHOUSE_KEY}
    for source_id, name in sources:
        keys[source_id] = _free_key(name, taken)
        taken.add(keys[source_id])
    return keys


def _free_key(name: str, taken: set[str]) -> str:
    key = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "source"
    if key[0].isdigit():
        key = f"source_{key}"
    free, count = key, 1
    while free in taken:
        count += 1
        free = f"{key}_{count}"
    return free
