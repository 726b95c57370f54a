"""A source whose read takes as long as a test wants: a PostgreSQL query that sleeps on the server."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from ingestion_tests.servers.postgres import SUPERUSER, PostgresServer


def slow_pipeline(client: httpx.Client, postgres: PostgresServer, seconds: float, **load_params: Any) -> str:
    """A pipeline of 1,000 rows whose extraction takes `seconds`; its id."""
    name = f"slow_{uuid.uuid4().hex[:8]}"
    source = {
        "name": name,
        "source_type": "CLOUD_SQL",
        "connection_details": {
            "host": postgres.host,
            "port": postgres.port,
            "database": "postgres",
            "sslmode": "disable",
            "credentials": {"username": SUPERUSER},
        },
    }
    created = client.post("/sources", json=source)
    assert created.status_code == 201, created.text
    query = f"""WITH pause AS MATERIALIZED (SELECT pg_sleep({seconds}))
        SELECT g AS id, 'row ' || g AS label FROM pause, generate_series(1, 1000) g"""
    body = {
        "pipeline_name": name,
        "source_id": created.json()["data"]["source_id"],
        "target_dataset": name,
        "target_table": name,
        "configuration": {"extraction_params": {"query": query}, "load_params": load_params},
    }
    answer = client.post("/pipelines", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["pipeline_id"])


def execute(client: httpx.Client, pipeline_id: str, **body: Any) -> str:
    """Start an execution; its id."""
    answer = client.post(f"/pipelines/{pipeline_id}/execute", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["execution_id"])
