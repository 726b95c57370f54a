"""Promise 4: a pipeline created over REST can be executed at once, without restart or manual reload."""

from __future__ import annotations

import httpx

from ingestion_tests.servers.slow_source import execute
from ingestion_tests.servers.stack import Stack, wait_final


def test_create_then_execute_without_a_pause(client: httpx.Client, stack: Stack) -> None:
    stack.put_rows("at-once", "a.csv", ("id",), [(1,), (2,)])
    source = {"name": "at once", "source_type": "GCS", "connection_details": {"bucket_name": "at-once"}}
    source_id = client.post("/sources", json=source).json()["data"]["source_id"]
    executions = []
    for number in range(3):
        body = {
            "pipeline_name": f"At once {number}",
            "source_id": source_id,
            "target_dataset": "at_once",
            "target_table": f"t{number}",
            "configuration": {"extraction_params": {"file_pattern": "*.csv"}},
        }
        executions.append(execute(client, client.post("/pipelines", json=body).json()["data"]["pipeline_id"]))
    assert [wait_final(client, execution_id)["records_processed"] for execution_id in executions] == [2, 2, 2]


def test_an_update_counts_from_the_next_execution_on(client: httpx.Client, stack: Stack) -> None:
    stack.put_rows("updates", "one.csv", ("id",), [(1,)])
    stack.put_rows("updates", "two.csv", ("id",), [(1,), (2,)])
    source = {"name": "updates", "source_type": "GCS", "connection_details": {"bucket_name": "updates"}}
    source_id = client.post("/sources", json=source).json()["data"]["source_id"]
    body = {
        "pipeline_name": "Updates",
        "source_id": source_id,
        "target_dataset": "updates",
        "target_table": "t",
        "configuration": {"extraction_params": {"file_pattern": "one.csv"}},
    }
    pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
    assert wait_final(client, execute(client, pipeline_id))["records_processed"] == 1
    change = {"configuration": {"extraction_params": {"file_pattern": "two.csv"}}}
    assert client.put(f"/pipelines/{pipeline_id}", json=change).status_code == 200
    assert wait_final(client, execute(client, pipeline_id))["records_processed"] == 2
