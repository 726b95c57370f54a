"""Promise 3: SUCCESS is proven from the target, never assumed. A cancelled execution stays cancelled."""

from __future__ import annotations

import time
import uuid

import duckdb
import httpx

from ingestion_tests.servers.postgres import PostgresServer
from ingestion_tests.servers.slow_source import execute, slow_pipeline
from ingestion_tests.servers.stack import Stack, wait_final, wait_for


def test_success_carries_the_counts_that_the_target_shows(client: httpx.Client, stack: Stack) -> None:
    bucket = f"proof-{uuid.uuid4().hex[:8]}"
    rows = [(n, n * 1.5 if n % 100 else "oops") for n in range(1, 1001)]
    stack.put_rows(bucket, "rows.csv", ("id", "amount"), rows)
    source = {"name": bucket, "source_type": "GCS", "connection_details": {"bucket_name": bucket}}
    source_id = client.post("/sources", json=source).json()["data"]["source_id"]
    schema = [{"name": "id", "type": "INTEGER"}, {"name": "amount", "type": "FLOAT"}]
    body = {
        "pipeline_name": bucket,
        "source_id": source_id,
        "target_dataset": "proofs",
        "target_table": "amounts",
        "configuration": {
            "extraction_params": {"file_pattern": "rows.csv", "schema": schema},
            "transformation_params": {"filter": "id <= 900"},
        },
    }
    pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
    execution = wait_final(client, execute(client, pipeline_id))
    assert execution["status"] == "SUCCESS", execution
    metrics = execution["metrics"]
    counted = {
        key: metrics[f"rows_{key}"] for key in ("extracted", "loaded", "quarantined", "deduplicated", "filtered")
    }
    assert counted == {"extracted": 1000, "loaded": 891, "quarantined": 10, "deduplicated": 0, "filtered": 99}
    assert execution["records_processed"] == 891
    with duckdb.connect(str(stack.home / "warehouse" / "proofs.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM main.amounts").fetchone() == (891,)
        quarantined = connection.execute('SELECT column_name, got, raw_row FROM main."amounts__quarantine"').fetchall()
    assert len(quarantined) == 10
    assert {(column, got) for column, got, _ in quarantined} == {("amount", "oops")}


def test_a_cancelled_execution_stays_cancelled(client: httpx.Client, stack: Stack, postgres: PostgresServer) -> None:
    pipeline_id = slow_pipeline(client, postgres, seconds=2)
    execution_id = execute(client, pipeline_id)
    wait_for(client, execution_id, "RUNNING")
    cancelled = client.post(f"/executions/{execution_id}/cancel")
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["data"]["error_details"]["error_code"] == "CANCELLED"
    assert client.post(f"/executions/{execution_id}/cancel").json() == cancelled.json()
    time.sleep(3)
    after = client.get(f"/executions/{execution_id}").json()["data"]
    assert after["status"] == "FAILED"
    assert after["error_details"] == cancelled.json()["data"]["error_details"]
    statuses = [task["status"] for task in client.get(f"/executions/{execution_id}/tasks").json()["items"]]
    assert statuses == ["FAILED", "SKIPPED", "SKIPPED", "SKIPPED"]
    name = client.get(f"/pipelines/{pipeline_id}").json()["data"]["target_table"]
    assert not (stack.home / "warehouse" / f"{name}.duckdb").exists()
    assert wait_final(client, execute(client, pipeline_id))["status"] == "SUCCESS"


def test_a_finished_execution_cannot_be_cancelled(client: httpx.Client, postgres: PostgresServer) -> None:
    execution_id = execute(client, slow_pipeline(client, postgres, seconds=0))
    before = wait_final(client, execution_id)
    answer = client.post(f"/executions/{execution_id}/cancel")
    assert answer.status_code == 409
    assert answer.json()["error"] == "INVALID_STATE"
    assert client.get(f"/executions/{execution_id}").json()["data"] == before
