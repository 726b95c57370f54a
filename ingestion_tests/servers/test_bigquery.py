"""The BigQuery emulator stands in for what the warehouse relies on."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

from ingestion_tests.servers.bigquery import BigQueryServer


def test_it_loads_bytes_from_its_bucket(bigquery_server: BigQueryServer) -> None:
    dataset = bigquery_server.create_dataset()
    buffer = io.BytesIO()
    pq.write_table(pa.table({"b": pa.array([b"\x00\xff", None], pa.binary())}), buffer)
    bigquery_server.gcs.put("bytes", "a b.parquet", buffer.getvalue())
    config = bigquery.LoadJobConfig(source_format="PARQUET", schema=[bigquery.SchemaField("b", "BYTES")])
    table = f"{bigquery_server.client.project}.{dataset}.t"
    job = bigquery_server.client.load_table_from_uri("gs://bytes/a b.parquet", table, job_config=config)
    job.result(timeout=30)
    assert bigquery_server.rows(f"SELECT b FROM `{table}` ORDER BY b") == [(None,), (b"\x00\xff",)]
