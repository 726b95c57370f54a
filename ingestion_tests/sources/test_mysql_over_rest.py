"""A MySQL source through the whole service: tested, described, executed, and executed again from its cursor."""

from __future__ import annotations

from typing import Any

import httpx

from ingestion_tests.servers.mariadb import SUPERUSER, MariadbServer
from ingestion_tests.servers.slow_source import execute
from ingestion_tests.servers.stack import wait_final


def test_a_database_becomes_a_table_and_stays_up_to_date(client: httpx.Client, mariadb: MariadbServer) -> None:
    database = mariadb.create_database()
    mariadb.run(
        "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10, 2), ordered DATE, changed TIMESTAMP(6))",
        "INSERT INTO orders SELECT seq, seq / 4, '2024-02-29', '2024-03-01' FROM seq_1_to_1000",
        "INSERT INTO orders VALUES (1001, 1, '0000-00-00', '2024-03-01')",
        database=database,
    )
    details: dict[str, Any] = {
        "engine": "MYSQL",
        "host": mariadb.host,
        "port": mariadb.port,
        "database": database,
        "credentials": {"username": SUPERUSER},
    }
    source = {"name": database, "source_type": "CLOUD_SQL", "connection_details": details}
    tested = client.post(
        "/sources/test-connection", json={"source_type": "CLOUD_SQL", "connection_details": details}
    ).json()
    assert tested["connection_successful"], tested
    source_id = client.post("/sources", json=source).json()["data"]["source_id"]
    described = client.get(f"/sources/{source_id}/schema/orders").json()
    assert described["status"] == "success", described
    body = {
        "pipeline_name": database,
        "source_id": source_id,
        "target_dataset": database,
        "target_table": "orders",
        "configuration": {"extraction_params": {"table": "orders", "incremental_key": "changed"}},
    }
    pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
    first = wait_final(client, execute(client, pipeline_id))
    assert (first["status"], first["records_processed"]) == ("SUCCESS", 1000), first
    mariadb.run(
        "INSERT INTO orders VALUES (2000, 5, '2024-03-02', '2024-03-02')",
        "UPDATE orders SET total = 0, changed = '2024-03-02' WHERE id = 7",
        "UPDATE orders SET changed = '2024-02-01' WHERE id <> 7 AND id <> 2000",
        database=database,
    )
    second = wait_final(client, execute(client, pipeline_id))
    assert (second["status"], second["records_processed"]) == ("SUCCESS", 2), second
    mariadb.drop_database(database)
