"""The store's tables. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table

from ingestion.store.columns import StoredText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, StoredText, **{"nullable": False, **options})


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, Integer, **{"nullable": False, **options})


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _instant(name: str, **options: Any) -> Column[Any]:
    return Column(name, UtcDateTime, **{"nullable": False, **options})


def _json(name: str, **options: Any) -> Column[Any]:
    # JSON and never JSONB: the order of keys is the client's and is kept.
    return Column(name, JSON(none_as_null=True), **{"nullable": False, **options})


sources = Table(
    "sources",
    metadata,
    _text("source_id", primary_key=True),
    _text("name", unique=True),
    _text("source_type"),
    _json("connection_details"),
    _text("schema_version"),
    _text("description", nullable=True),
    _flag("is_active"),
    _instant("created_at"),
    _instant("updated_at"),
    _text("created_by"),
    _text("updated_by"),
    _text("status"),
    _number("version"),
    Index("ix_sources_in_order", "created_at", "source_id"),
    Index("ix_sources_by_type", "source_type", "created_at", "source_id"),
    Index("ix_sources_by_status", "status", "created_at", "source_id"),
)


def _definition() -> list[Column[Any]]:
    """What a pipeline is at one revision, beside its keys."""
    return [
        _text("target_dataset"),
        _text("target_table"),
        _json("configuration"),
        _text("description", nullable=True),
        _flag("is_active"),
        _instant("created_at"),
        _instant("updated_at"),
        _text("created_by"),
        _text("updated_by"),
    ]


pipelines = Table(
    "pipelines",
    metadata,
    _text("pipeline_id", primary_key=True),
    _text("pipeline_name", unique=True),
    Column("source_id", StoredText, ForeignKey("sources.source_id"), nullable=False),
    _text("dag_id", unique=True),
    *_definition(),
    _number("revision"),
    Index("ix_pipelines_in_order", "created_at", "pipeline_id"),
    Index("ix_pipelines_by_source", "source_id", "created_at", "pipeline_id"),
    Index("ix_pipelines_by_activity", "is_active", "created_at", "pipeline_id"),
)

# No foreign keys: the revisions an execution used stay readable after the pipeline is deleted.
pipeline_revisions = Table(
    "pipeline_revisions",
    metadata,
    _text("pipeline_id", primary_key=True),
    _number("revision", primary_key=True, autoincrement=False),
    _text("pipeline_name"),
    _text("source_id"),
    _text("dag_id"),
    *_definition(),
)

# One row, whose token is replaced in the transaction of every change to a source or pipeline.
definition_token = Table(
    "definition_token",
    metadata,
    _number("id", primary_key=True, autoincrement=False),
    _text("token"),
)

executions = Table(
    "executions",
    metadata,
    _text("execution_id", primary_key=True),
    _text("pipeline_id"),
    _number("pipeline_revision"),
    _text("dag_id"),
    _text("source_type"),
    _text("status"),
    _text("trigger"),
    _json("execution_params", nullable=True),
    _text("retry_of_execution_id", nullable=True),
    _text("dag_run_id", unique=True),
    _text("dagster_run_id", unique=True, nullable=True),
    _flag("is_queued"),
    _flag("is_forced"),
    _text("publish_state"),
    _instant("start_time"),
    _instant("end_time", nullable=True),
    Column("records_processed", BigInteger, nullable=True),
    _json("metrics", nullable=True),
    _json("error_details", nullable=True),
    _text("created_by"),
    Index("ix_executions_in_order", "pipeline_id", "start_time", "execution_id"),
    Index("ix_executions_by_status", "pipeline_id", "status", "start_time", "execution_id"),
    Index("ix_executions_unfinished", "status", "start_time", "execution_id"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("execution_id", StoredText, ForeignKey("executions.execution_id"), primary_key=True),
    _text("task_id", primary_key=True),
    _number("position"),
    _text("status"),
    _instant("start_time", nullable=True),
    _instant("end_time", nullable=True),
    _json("task_params"),
    _json("metrics"),
    Index("ix_tasks_in_order", "execution_id", "position"),
)

# The row is the right to be the pipeline's one unfinished execution that is not queued.
claims = Table(
    "claims",
    metadata,
    _text("pipeline_id", primary_key=True),
    Column("execution_id", StoredText, ForeignKey("executions.execution_id"), nullable=False, unique=True),
    _instant("claimed_at"),
)

# A row without a status is a reservation: somebody carries the request out until the lease runs out.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _text("key_id", primary_key=True),
    _text("fingerprint"),
    _text("resource_id"),
    _number("attempt"),
    _instant("created_at"),
    _instant("leased_until"),
    _number("status", nullable=True),
    _json("headers", nullable=True),
    _text("body", nullable=True),
    Index("ix_idempotency_keys_in_order", "created_at"),
)
