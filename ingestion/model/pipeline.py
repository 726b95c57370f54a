"""Pipelines: what is extracted, how it is changed, where it is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, Field, field_validator

from ingestion.model.base import StrictModel
from ingestion.model.extraction import EXTRACTION_MODELS, ExtractionParams
from ingestion.model.load import LoadParams
from ingestion.model.quality import QualityParams
from ingestion.model.source_type import SourceType

QUARANTINE_SUFFIX = "__quarantine"
"""What a target's name is followed by to name the table of its rejected rows."""

_RANDOM_CRON = re.compile(r"(?<![A-Za-z])[RrHh](?![A-Za-z])")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

DAG_PREFIXES: Mapping[SourceType, str] = {
    SourceType.GCS: "gcs",
    SourceType.CLOUD_SQL: "cloudsql",
    SourceType.BIGQUERY: "bigquery",
    SourceType.API: "api",
    SourceType.SFTP: "sftp",
    SourceType.CUSTOM: "custom",
}


def _check_table_name(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is not a dataset or table name: letters, digits and _, not starting with a digit")
    if len(name) > 200:
        raise ValueError(f"a dataset or table name has at most 200 characters, not {len(name)}")
    if name.lower().startswith("_ingestion"):
        raise ValueError(f"{name!r} is reserved: names starting with _ingestion belong to the service")
    if name.lower().endswith(QUARANTINE_SUFFIX):
        raise ValueError(f"{name!r} is reserved: names ending in {QUARANTINE_SUFFIX} are those of rejected rows")
    return name


TableName = Annotated[str, Field(min_length=1), AfterValidator(_check_table_name)]


class Deduplication(StrictModel):
    """Keep one row per `keys`: the first by `order_by` (SQL, such as `updated_at DESC`)."""

    keys: tuple[str, ...] = Field(min_length=1)
    order_by: str | None = None


class TransformationParams(StrictModel):
    """`transformation_params`; all of it compiles to one SELECT."""

    apply_schema: bool | None = None
    convert_timestamps: bool | None = None
    column_mappings: dict[str, str] | None = None
    type_conversions: dict[str, str] | None = None
    calculated_fields: dict[str, str] | None = None
    filter: str | None = Field(default=None, min_length=1)
    drop: tuple[str, ...] | None = None
    deduplicate: Deduplication | None = None


def check_schedule(cron: str) -> str:
    """`cron` itself when it is a five-field cron expression; else ValueError."""
    if len(cron.split()) != 5 or not croniter.is_valid(cron):
        raise ValueError(f"{cron!r} is not a cron expression of five fields: minute hour day month weekday")
    if _RANDOM_CRON.search(cron):
        raise ValueError(f"{cron!r} asks for a random time: each field has to say when")
    try:
        croniter(cron, datetime(2000, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        raise ValueError(f"{cron!r} never happens: there is no such day") from None
    return cron


class PipelineConfiguration(StrictModel):
    """`configuration` as the client sent it. `extraction_params` is checked by the source type's model."""

    schedule: str | None = None
    timezone: str | None = None
    extraction_params: dict[str, Any] | None = None
    transformation_params: TransformationParams | None = None
    load_params: LoadParams | None = None
    quality_params: QualityParams | None = None

    @field_validator("schedule")
    @classmethod
    def _schedule_is_cron(cls, cron: str | None) -> str | None:
        return None if cron is None else check_schedule(cron)

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"{name!r} is not a time zone name, such as Europe/Berlin or UTC") from None
        return name


class Pipeline(StrictModel):
    """A stored pipeline. `configuration` is what the client sent; `revision` counts its definitions."""

    pipeline_id: str
    pipeline_name: str
    source_id: str
    target_dataset: str
    target_table: str
    dag_id: str
    configuration: dict[str, Any]
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
    created_by: str
    updated_by: str
    revision: int = Field(ge=1)

    def settings(self) -> PipelineConfiguration:
        """The configuration as its model."""
        return PipelineConfiguration.model_validate(self.configuration)

    def extraction(self, source_type: SourceType) -> ExtractionParams:
        """The extraction parameters as the source type's model. Raises KeyError for a type that is not read yet."""
        return EXTRACTION_MODELS[source_type].model_validate(self.configuration.get("extraction_params") or {})


def dag_id_for(source_type: SourceType, target_table: str) -> str:
    """The job name of a new pipeline, before collisions are resolved (wire decision 39)."""
    return f"{DAG_PREFIXES[source_type]}_to_bq_{re.sub(r'[^A-Za-z0-9_]', '_', target_table)}"
