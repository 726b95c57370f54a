"""The promises with BigQuery as the warehouse: a whole service over REST, looked at by a client of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingestion_tests.servers.bigquery import PROJECT, STAGING_BUCKET, BigQueryServer
from ingestion_tests.servers.stack import Stack, start_stack, wait_final

ORDERS = b"id,name,day\n1,a,2026-01-01\n2,b,2026-01-02\n3,c,2026-01-03\n"


@pytest.fixture(scope="module")
def loaded(bigquery_server: BigQueryServer) -> Iterator[Stack]:
    """A service that loads into the emulator."""
    environment = {
        "INGESTION_WAREHOUSE": "bigquery",
        "INGESTION_BIGQUERY_PROJECT": PROJECT,
        "INGESTION_BIGQUERY_ENDPOINT": bigquery_server.endpoint,
        "INGESTION_BIGQUERY_STAGING_BUCKET": f"gs://{STAGING_BUCKET}/stack",
        "INGESTION_GCS_ENDPOINT": bigquery_server.gcs.endpoint,
    }
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        running = start_stack(Path(folder) / "home", **environment)
        yield running
        assert running.stop() == 0


def execute(client: httpx.Client, pipeline_id: str) -> dict[str, Any]:
    started = client.post(f"/pipelines/{pipeline_id}/execute", json={})
    assert started.status_code == 202, started.text
    return wait_final(client, started.json()["data"]["execution_id"], limit=150)


def test_from_a_bucket_into_bigquery_and_not_when_a_check_fails(loaded: Stack, bigquery_server: BigQueryServer) -> None:
    bigquery_server.gcs.put("shop", "orders.csv", ORDERS)
    details = {"bucket_name": "shop", "file_pattern": "*.csv"}
    source = {"name": "Shop", "source_type": "GCS", "connection_details": details}
    pipeline = {
        "pipeline_name": "Orders",
        "target_dataset": "shop",
        "target_table": "orders",
        "configuration": {
            "load_params": {"write_disposition": "WRITE_TRUNCATE"},
            "quality_params": {"checks": [{"check": "unique", "column": "id"}]},
        },
    }
    with loaded.client() as client:
        source_id = client.post("/sources", json=source).json()["data"]["source_id"]
        made = client.post("/pipelines", json=pipeline | {"source_id": source_id})
        assert made.status_code == 201, made.text
        pipeline_id = made.json()["data"]["pipeline_id"]
        done = execute(client, pipeline_id)
        assert (done["status"], done["records_processed"]) == ("SUCCESS", 3), done
        assert bigquery_server.rows("SELECT COUNT(*), COUNT(DISTINCT id) FROM shop.orders") == [(3, 3)]
        bigquery_server.gcs.put("shop", "orders.csv", ORDERS + b"3,again,2026-01-04\n")
        failed = execute(client, pipeline_id)
        assert failed["error_details"]["error_code"] == "QUALITY_FAILED", failed
        assert bigquery_server.rows("SELECT COUNT(*) FROM shop.orders") == [(3,)]
        bigquery_server.gcs.put("shop", "orders.csv", ORDERS + b"4,d,2026-01-04\n")
        done = execute(client, pipeline_id)
        assert (done["status"], done["records_processed"]) == ("SUCCESS", 4), done
    assert bigquery_server.rows("SELECT COUNT(*) FROM shop.orders") == [(4,)]
    assert bigquery_server.rows("SELECT COUNT(*) FROM shop._ingestion_loads") == [(2,)]
