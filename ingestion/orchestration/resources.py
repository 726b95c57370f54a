"""Sources and the warehouse as Dagster resources: what the UI shows of them, and how steps reach them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from ingestion.model.source import Source
from ingestion.settings import Settings

WAREHOUSE_KEY = "warehouse"


class SourceResource(dg.ConfigurableResource[Any]):
    """A stored source. Secrets are references, here as everywhere."""

    source_id: str = Field(description="The source's id in the API.")
    name: str = Field(description="The source's name in the API.")
    source_type: str = Field(description="GCS, CLOUD_SQL, BIGQUERY, API, SFTP or CUSTOM.")
    connection_details: dict[str, Any] = Field(description="How the source is reached; secrets by reference only.")
    schema_version: str = Field(description="The version its owner gave to the source's schema.")
    is_active: bool = Field(description="Whether pipelines of this source run on their schedules.")

    @classmethod
    def of(cls, source: Source) -> "SourceResource":
        """The resource of a stored source."""
        return cls(
            source_id=source.source_id,
            name=source.name,
            source_type=source.source_type.value,
            connection_details=source.connection_details,
            schema_version=source.schema_version,
            is_active=source.is_active,
        )


class DuckDbWarehouseResource(dg.ConfigurableResource[Any]):
    """The embedded warehouse: one DuckDB file per dataset."""

    folder: str = Field(description="Folder of the `<dataset>.duckdb` files.")

    @classmethod
    def of(cls, settings: Settings) -> "DuckDbWarehouseResource":
        """The resource of the settings' warehouse."""
        return cls(folder=str(settings.warehouse_dir))


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
