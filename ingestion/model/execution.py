"""Executions and their tasks: one attempt to bring a pipeline's data to its target."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from ingestion.model.base import StrictModel
from ingestion.model.macros import Interval
from ingestion.model.source import SourceType


class ExecutionStatus(StrEnum):
    """SUCCESS and FAILED are final; a cancelled execution is FAILED with code CANCELLED."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    HEALING = "HEALING"

    @property
    def is_final(self) -> bool:
        """Whether the status can never change again."""
        return self in (ExecutionStatus.SUCCESS, ExecutionStatus.FAILED)


class TaskStatus(StrEnum):
    """The contract's task statuses."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"


class Trigger(StrEnum):
    """Who asked for an execution. RUN is a run started in Dagster's own UI."""

    API = "API"
    RETRY = "RETRY"
    SCHEDULE = "SCHEDULE"
    RUN = "RUN"
    REPLAY = "REPLAY"


class PublishState(StrEnum):
    """The fence between cancel and publish: OPEN -> CLAIMED (publish may commit) or CANCELLED, never both."""

    OPEN = "OPEN"
    CLAIMED = "CLAIMED"
    CANCELLED = "CANCELLED"


REPLAY = "quarantine_replay"
"""The execution parameter that makes an execution take quarantined rows in place of the source's."""


class ReplayParams(StrictModel):
    """Which OPEN rows of the quarantine an execution takes."""

    record_ids: tuple[str, ...] | None = None
    execution_id: str | None = None
    error_code: str | None = None


class ExecutionParams(StrictModel):
    """The parts of the free-form `execution_params` that have a meaning here."""

    model_config = ConfigDict(extra="allow", frozen=True)

    batch_size: int | None = Field(default=None, ge=1, strict=True)
    include_deleted: bool | None = Field(default=None, strict=True)
    start_date: date | None = None
    end_date: date | None = None
    quarantine_replay: ReplayParams | None = None

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Self:
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} lies before start_date {self.start_date}")
        return self

    @property
    def is_backfill(self) -> bool:
        """With dates given, the execution leaves the live cursor alone (wire decision 54)."""
        return self.start_date is not None or self.end_date is not None

    def interval(self, asked_at: datetime) -> Interval:
        """The days the date macros stand for; today in UTC when no date is given."""
        today = asked_at.astimezone(UTC).date()
        start = self.start_date or self.end_date or today
        return Interval(start=start, end=self.end_date or max(start, today), at=asked_at)


class ErrorDetails(StrictModel):
    """Why an execution failed; `error_code` is of the error catalogue."""

    error_code: str
    error_message: str
    task_id: str | None = None


class Execution(StrictModel):
    """A stored execution. Times are aware UTC; `start_time` is when it was accepted."""

    execution_id: str
    pipeline_id: str
    pipeline_revision: int
    dag_id: str
    source_type: SourceType
    status: ExecutionStatus
    trigger: Trigger
    execution_params: dict[str, Any] | None
    retry_of_execution_id: str | None
    dag_run_id: str
    dagster_run_id: str | None
    is_queued: bool = Field(description="Accepted behind another execution of the pipeline; holds no claim yet.")
    is_forced: bool
    publish_state: PublishState
    start_time: datetime
    end_time: datetime | None
    records_processed: int | None
    metrics: dict[str, Any] | None
    error_details: ErrorDetails | None
    created_by: str

    def params(self) -> ExecutionParams:
        """The execution parameters with a meaning, as their model."""
        return ExecutionParams.model_validate(self.execution_params or {})


class Task(StrictModel):
    """A stored task of an execution."""

    execution_id: str
    task_id: str
    position: int
    status: TaskStatus
    start_time: datetime | None
    end_time: datetime | None
    task_params: dict[str, Any]
    metrics: dict[str, Any]


EXTRACT_TASK_IDS: Mapping[SourceType, str] = {
    SourceType.GCS: "extract_from_gcs",
    SourceType.CLOUD_SQL: "extract_from_cloud_sql",
    SourceType.BIGQUERY: "extract_from_bigquery",
    SourceType.API: "extract_from_api",
    SourceType.SFTP: "extract_from_sftp",
    SourceType.CUSTOM: "extract_from_custom",
}
TRANSFORM_TASK_ID = "transform_data"
LOAD_TASK_ID = "load_to_bigquery"
VALIDATE_TASK_ID = "validate_data_quality"

# (task_name, task_type): the contract's labels where it has them, the same manner where it has none.
TASK_LABELS: Mapping[str, tuple[str, str]] = {
    "extract_from_gcs": ("Extract from GCS", "GCSToLocalOperator"),
    "extract_from_cloud_sql": ("Extract from Cloud SQL", "CloudSQLToLocalOperator"),
    "extract_from_bigquery": ("Extract from BigQuery", "BigQueryToLocalOperator"),
    "extract_from_api": ("Extract from API", "APIToLocalOperator"),
    "extract_from_sftp": ("Extract from SFTP", "SFTPToLocalOperator"),
    "extract_from_custom": ("Extract from Custom Connector", "CustomToLocalOperator"),
    TRANSFORM_TASK_ID: ("Transform Data", "PythonOperator"),
    LOAD_TASK_ID: ("Load to BigQuery", "GCSToBigQueryOperator"),
    VALIDATE_TASK_ID: ("Validate Data Quality", "PythonOperator"),
}


def task_ids_for(source_type: SourceType) -> tuple[str, str, str, str]:
    """The four tasks of an execution, in the order they run."""
    return (EXTRACT_TASK_IDS[source_type], TRANSFORM_TASK_ID, LOAD_TASK_ID, VALIDATE_TASK_ID)


def dag_run_id_for(dag_id: str, accepted_at: datetime) -> str:
    """`{dag_id}_{YYYYMMDDThhmmss}`, before collisions are resolved (wire decision 50)."""
    return f"{dag_id}_{accepted_at.astimezone(UTC):%Y%m%dT%H%M%S}"
