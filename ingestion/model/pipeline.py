"""Pipelines: what is extracted, how it is changed, where it is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, Field, field_validator

from ingestion.model.base import StrictModel
from ingestion.model.macros import MACRO_NAMES, embedded_macros, unknown_macros
from ingestion.model.quality import QualityParams
from ingestion.model.schema import SchemaField
from ingestion.model.source import SourceType

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


def _check_macros(text: str) -> str:
    unknown = unknown_macros(text)
    if unknown:
        raise ValueError(f"unknown macro {unknown[0]!r}; known macros are {', '.join(MACRO_NAMES)}")
    return text


def _check_query(query: str) -> str:
    _check_macros(query)
    embedded = embedded_macros(query)
    if embedded:
        raise ValueError(
            f"the macro {embedded[0]!r} stands inside a longer text literal and cannot be bound there; "
            f"write it alone in its quotes and join the parts with ||"
        )
    return query


PatternText = Annotated[str, Field(min_length=1), AfterValidator(_check_macros)]
QueryText = Annotated[str, Field(min_length=1), AfterValidator(_check_query)]


class FileFormat(StrEnum):
    """File formats this version reads."""

    CSV = "CSV"
    JSON = "JSON"
    PARQUET = "PARQUET"


class WriteDisposition(StrEnum):
    """How the staged rows meet the target table."""

    WRITE_TRUNCATE = "WRITE_TRUNCATE"
    WRITE_APPEND = "WRITE_APPEND"
    WRITE_EMPTY = "WRITE_EMPTY"
    MERGE = "MERGE"


class FileExtraction(StrictModel):
    """`extraction_params` for files. Unset fields are told from the files."""

    file_pattern: PatternText | None = None
    file_format: FileFormat | None = None
    field_delimiter: str | None = Field(default=None, min_length=1, max_length=4)
    quote: str | None = Field(default=None, max_length=1)
    escape: str | None = Field(default=None, max_length=1)
    encoding: str | None = None
    skip_header_rows: int | None = Field(default=None, ge=0, le=1000)
    null_values: tuple[str, ...] | None = None
    date_format: str | None = Field(default=None, min_length=1)
    timestamp_format: str | None = Field(default=None, min_length=1)
    compression: Literal["none", "gzip", "zip"] | None = None
    archive_member: str | None = Field(default=None, min_length=1)
    data_path: str | None = Field(default=None, min_length=1, description="Dotted path to the rows of a JSON document.")
    schema_: tuple[SchemaField, ...] | None = Field(default=None, alias="schema", min_length=1)

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                "".encode(name)
            except LookupError:
                raise ValueError(f"{name!r} is not a known encoding, such as utf-8, latin-1 or utf-16") from None
        return name


class DatabaseExtraction(StrictModel):
    """`extraction_params` for databases: a table or a read-only query."""

    table: str | None = Field(default=None, min_length=1)
    query: QueryText | None = None
    incremental_key: str | None = Field(default=None, min_length=1)
    primary_key: str | tuple[str, ...] | None = None
    statement_timeout_seconds: int | None = Field(default=None, ge=1)


ExtractionParams = FileExtraction | DatabaseExtraction

EXTRACTION_MODELS: Mapping[SourceType, type[FileExtraction] | type[DatabaseExtraction]] = {
    SourceType.GCS: FileExtraction,
    SourceType.CLOUD_SQL: DatabaseExtraction,
}
"""The source types this version reads; a pipeline on another one is refused."""


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


class LoadParams(StrictModel):
    """`load_params`."""

    write_disposition: WriteDisposition | None = None
    merge_key: str | tuple[str, ...] | None = None
    max_bad_records: int | None = Field(default=None, ge=0)
    empty_source: Literal["fail", "allow"] | None = None


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


def as_columns(key: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """A key given as one column or as several, as a tuple."""
    if key is None:
        return ()
    return (key,) if isinstance(key, str) else key
