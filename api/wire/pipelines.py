"""Pipelines on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from api.wire.envelopes import Instant, WireModel
from api.wire.sources import Description, Name
from ingestion.clock import to_wire
from ingestion.model.base import StrictModel
from ingestion.model.pipeline import Pipeline, TableName


class PipelineBody(StrictModel):
    """A pipeline as clients define it. `configuration` is checked against its own models."""

    pipeline_name: Name
    source_id: str = Field(min_length=1)
    target_dataset: TableName
    target_table: TableName
    configuration: dict[str, Any] = Field(default_factory=dict)
    description: Description | None = None
    is_active: bool = True


class PipelineChanges(BaseModel):
    """An update: merged into the pipeline as RFC 7396 says. null clears a field, dag_id never changes."""

    pipeline_name: Name | None = None
    source_id: str | None = None
    target_dataset: TableName | None = None
    target_table: TableName | None = None
    configuration: dict[str, Any] | None = None
    description: Description | None = None
    is_active: bool | None = None


class PipelineShown(WireModel):
    """A pipeline as it is read."""

    pipeline_id: str
    pipeline_name: str
    source_id: str
    target_dataset: str
    target_table: str
    dag_id: str
    configuration: dict[str, Any]
    description: str | None
    is_active: bool
    created_at: Instant
    updated_at: Instant
    created_by: str
    updated_by: str


def definition_of(pipeline: Pipeline) -> dict[str, Any]:
    """The part of a pipeline that its clients define."""
    return {name: shown for name, shown in show_pipeline(pipeline).items() if name in PipelineBody.model_fields}


def show_pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline as it is read."""
    return {
        "pipeline_id": pipeline.pipeline_id,
        "pipeline_name": pipeline.pipeline_name,
        "source_id": pipeline.source_id,
        "target_dataset": pipeline.target_dataset,
        "target_table": pipeline.target_table,
        "dag_id": pipeline.dag_id,
        "configuration": pipeline.configuration,
        "description": pipeline.description,
        "is_active": pipeline.is_active,
        "created_at": to_wire(pipeline.created_at),
        "updated_at": to_wire(pipeline.updated_at),
        "created_by": pipeline.created_by,
        "updated_by": pipeline.updated_by,
    }
