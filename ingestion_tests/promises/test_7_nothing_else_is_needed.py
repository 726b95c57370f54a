"""Promise 7: nothing outside the standard install is needed to try it: no Docker, no cloud, no network."""

from __future__ import annotations

from typing import Any

import httpx
import psutil

from ingestion_tests.servers.slow_source import execute
from ingestion_tests.servers.stack import Stack, wait_final


def connections_of(process: psutil.Process) -> list[Any]:
    """Its network connections; none for a worker that has just ended."""
    try:
        return list(process.net_connections(kind="inet"))
    except psutil.NoSuchProcess:
        return []


def test_the_service_talks_to_loopback_only(client: httpx.Client, stack: Stack) -> None:
    """With a whole execution done, no process of the service has a connection elsewhere."""
    stack.put_rows("offline", "a.csv", ("id",), [(1,)])
    source = {"name": "offline", "source_type": "GCS", "connection_details": {"bucket_name": "offline"}}
    source_id = client.post("/sources", json=source).json()["data"]["source_id"]
    body = {
        "pipeline_name": "Offline",
        "source_id": source_id,
        "target_dataset": "offline",
        "target_table": "t",
        "configuration": {"extraction_params": {"file_pattern": "*.csv"}},
    }
    pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
    assert wait_final(client, execute(client, pipeline_id))["status"] == "SUCCESS"
    parent = psutil.Process(stack.process.pid)
    elsewhere = [
        connection
        for process in (parent, *parent.children(recursive=True))
        for connection in connections_of(process)
        if connection.raddr and not connection.raddr.ip.startswith(("127.", "::1"))
    ]
    assert elsewhere == []


def test_the_docs_load_nothing_from_elsewhere(stack: Stack) -> None:
    page = httpx.get(stack.url + "/docs")
    assert page.status_code == 200
    assert "https://" not in page.text.replace("https://json-schema.org", "")
