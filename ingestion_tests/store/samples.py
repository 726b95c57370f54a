"""Stored things to test with, and what must hold of every store at any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from ingestion.model.execution import Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.store import NewExecution, Store
from ingestion.store.tables import claims, executions, tasks

MOMENT = datetime(2023, 6, 15, 10, 30, 0, 123456, tzinfo=UTC)


def a_source(source_id: str = "s1", **changes: Any) -> Source:
    values: dict[str, Any] = {
        "source_id": source_id,
        "name": f"Source {source_id}",
        "source_type": SourceType.GCS,
        "connection_details": {"file_pattern": "*.csv", "bucket_name": "sales"},
        "schema_version": "1.0",
        "description": None,
        "is_active": True,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "created_by": "admin@example.com",
        "updated_by": "admin@example.com",
        "status": SourceStatus.UNKNOWN,
        "version": 1,
    }
    return Source(**values | changes)


def a_pipeline(pipeline_id: str = "p1", **changes: Any) -> Pipeline:
    values: dict[str, Any] = {
        "pipeline_id": pipeline_id,
        "pipeline_name": f"Pipeline {pipeline_id}",
        "source_id": "s1",
        "target_dataset": "sales_data",
        "target_table": "daily_sales",
        "dag_id": "gcs_to_bq_daily_sales",
        "configuration": {"schedule": "0 2 * * *", "extraction_params": {"skip_header_rows": 1}},
        "description": "Daily import",
        "is_active": True,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "created_by": "admin@example.com",
        "updated_by": "admin@example.com",
        "revision": 1,
    }
    return Pipeline(**values | changes)


def with_pipeline(store: Store, pipeline_id: str = "p1") -> Pipeline:
    """Store a pipeline with its source."""
    store.sources.add(a_source(f"source-of-{pipeline_id}"))
    return store.pipelines.add(a_pipeline(pipeline_id, source_id=f"source-of-{pipeline_id}"))


def a_new_execution(pipeline: Pipeline, execution_id: str | None = None, **changes: Any) -> NewExecution:
    values: dict[str, Any] = {
        "execution_id": execution_id or uuid4().hex,
        "pipeline": pipeline,
        "source_type": SourceType.GCS,
        "trigger": Trigger.API,
        "execution_params": None,
        "created_by": "admin@example.com",
        "is_forced": False,
    }
    return NewExecution(**values | changes)


def running(store: Store, pipeline: Pipeline, execution_id: str = "e1") -> str:
    """Accept and start an execution."""
    store.executions.accept(a_new_execution(pipeline, execution_id))
    assert store.executions.start(execution_id, f"run-of-{execution_id}")
    return execution_id


def publishing(store: Store, pipeline: Pipeline, execution_id: str = "e1") -> str:
    """Accept and start an execution and let it claim the fence."""
    running(store, pipeline, execution_id)
    assert store.executions.claim_publish(execution_id)
    return execution_id


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def broken_rules(store: Store) -> list[str]:
    """What is not as it has to be, however the processes that wrote the store ended."""
    with store.executions._database.read() as connection:
        all_executions = connection.execute(select(executions)).mappings().all()
        all_claims = connection.execute(select(claims)).mappings().all()
        all_tasks = connection.execute(select(tasks)).mappings().all()
    holders = {claim["execution_id"]: claim["pipeline_id"] for claim in all_claims}
    final = {row["execution_id"] for row in all_executions if row["status"] in ("SUCCESS", "FAILED")}
    broken = []
    for row in all_executions:
        execution_id, is_holder = row["execution_id"], row["execution_id"] in holders
        if execution_id in final and (is_holder or row["is_queued"] or row["end_time"] is None):
            broken.append(f"{execution_id} ended but holds a claim, queues, or has no end")
        if execution_id not in final and is_holder == row["is_queued"]:
            broken.append(f"{execution_id} must either hold the claim or queue")
        if row["status"] == "SUCCESS" and row["publish_state"] != "CLAIMED":
            broken.append(f"{execution_id} succeeded without the fence")
        if is_holder and holders[execution_id] != row["pipeline_id"]:
            broken.append(f"{execution_id} holds the claim of another pipeline")
        if len([task for task in all_tasks if task["execution_id"] == execution_id]) != 4:
            broken.append(f"{execution_id} does not have four tasks")
    broken += [
        f"task {task['task_id']} of {task['execution_id']} is open though its execution ended"
        for task in all_tasks
        if task["execution_id"] in final and task["status"] in ("PENDING", "RUNNING")
    ]
    return broken
