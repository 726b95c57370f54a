"""Sources, pipelines, executions, tasks and claims."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ingestion.store.columns import StoredText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    definition_token = op.create_table(
        "definition_token",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token", StoredText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_definition_token"),
    )
    op.bulk_insert(definition_token, [{"id": 1, "token": "initial"}])
    op.create_table(
        "executions",
        sa.Column("execution_id", StoredText(), nullable=False),
        sa.Column("pipeline_id", StoredText(), nullable=False),
        sa.Column("pipeline_revision", sa.Integer(), nullable=False),
        sa.Column("dag_id", StoredText(), nullable=False),
        sa.Column("source_type", StoredText(), nullable=False),
        sa.Column("status", StoredText(), nullable=False),
        sa.Column("trigger", StoredText(), nullable=False),
        sa.Column("execution_params", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("retry_of_execution_id", StoredText(), nullable=True),
        sa.Column("dag_run_id", StoredText(), nullable=False),
        sa.Column("dagster_run_id", StoredText(), nullable=True),
        sa.Column("is_queued", sa.Boolean(), nullable=False),
        sa.Column("is_forced", sa.Boolean(), nullable=False),
        sa.Column("publish_state", StoredText(), nullable=False),
        sa.Column("start_time", UtcDateTime(), nullable=False),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.Column("records_processed", sa.BigInteger(), nullable=True),
        sa.Column("metrics", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_details", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_by", StoredText(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name="pk_executions"),
        sa.UniqueConstraint("dag_run_id", name="uq_executions_dag_run_id"),
        sa.UniqueConstraint("dagster_run_id", name="uq_executions_dagster_run_id"),
    )
    op.create_index("ix_executions_by_status", "executions", ["pipeline_id", "status", "start_time", "execution_id"])
    op.create_index("ix_executions_in_order", "executions", ["pipeline_id", "start_time", "execution_id"])
    op.create_index("ix_executions_unfinished", "executions", ["status", "start_time", "execution_id"])

    op.create_table(
        "pipeline_revisions",
        sa.Column("pipeline_id", StoredText(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pipeline_name", StoredText(), nullable=False),
        sa.Column("source_id", StoredText(), nullable=False),
        sa.Column("dag_id", StoredText(), nullable=False),
        sa.Column("target_dataset", StoredText(), nullable=False),
        sa.Column("target_table", StoredText(), nullable=False),
        sa.Column("configuration", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("description", StoredText(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", StoredText(), nullable=False),
        sa.Column("updated_by", StoredText(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline_id", "revision", name="pk_pipeline_revisions"),
    )
    op.create_table(
        "sources",
        sa.Column("source_id", StoredText(), nullable=False),
        sa.Column("name", StoredText(), nullable=False),
        sa.Column("source_type", StoredText(), nullable=False),
        sa.Column("connection_details", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("schema_version", StoredText(), nullable=False),
        sa.Column("description", StoredText(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", StoredText(), nullable=False),
        sa.Column("updated_by", StoredText(), nullable=False),
        sa.Column("status", StoredText(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", name="pk_sources"),
        sa.UniqueConstraint("name", name="uq_sources_name"),
    )
    op.create_index("ix_sources_by_status", "sources", ["status", "created_at", "source_id"])
    op.create_index("ix_sources_by_type", "sources", ["source_type", "created_at", "source_id"])
    op.create_index("ix_sources_in_order", "sources", ["created_at", "source_id"])

    op.create_table(
        "claims",
        sa.Column("pipeline_id", StoredText(), nullable=False),
        sa.Column("execution_id", StoredText(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], name="fk_claims_execution_id"),
        sa.PrimaryKeyConstraint("pipeline_id", name="pk_claims"),
        sa.UniqueConstraint("execution_id", name="uq_claims_execution_id"),
    )
    op.create_table(
        "pipelines",
        sa.Column("pipeline_id", StoredText(), nullable=False),
        sa.Column("pipeline_name", StoredText(), nullable=False),
        sa.Column("source_id", StoredText(), nullable=False),
        sa.Column("dag_id", StoredText(), nullable=False),
        sa.Column("target_dataset", StoredText(), nullable=False),
        sa.Column("target_table", StoredText(), nullable=False),
        sa.Column("configuration", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("description", StoredText(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", StoredText(), nullable=False),
        sa.Column("updated_by", StoredText(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_pipelines_source_id"),
        sa.PrimaryKeyConstraint("pipeline_id", name="pk_pipelines"),
        sa.UniqueConstraint("dag_id", name="uq_pipelines_dag_id"),
        sa.UniqueConstraint("pipeline_name", name="uq_pipelines_pipeline_name"),
    )
    op.create_index("ix_pipelines_by_activity", "pipelines", ["is_active", "created_at", "pipeline_id"])
    op.create_index("ix_pipelines_by_source", "pipelines", ["source_id", "created_at", "pipeline_id"])
    op.create_index("ix_pipelines_in_order", "pipelines", ["created_at", "pipeline_id"])

    op.create_table(
        "tasks",
        sa.Column("execution_id", StoredText(), nullable=False),
        sa.Column("task_id", StoredText(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", StoredText(), nullable=False),
        sa.Column("start_time", UtcDateTime(), nullable=True),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.Column("task_params", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("metrics", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], name="fk_tasks_execution_id"),
        sa.PrimaryKeyConstraint("execution_id", "task_id", name="pk_tasks"),
    )
    op.create_index("ix_tasks_in_order", "tasks", ["execution_id", "position"])


def downgrade() -> None:
    for table in ("tasks", "claims", "pipelines", "sources", "pipeline_revisions", "executions", "definition_token"):
        op.drop_table(table)
