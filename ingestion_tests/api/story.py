"""One successful call of every endpoint, in an order in which each works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from ingestion.model.load import WriteDisposition
from ingestion.settings import Settings
from ingestion.sources.base import Cursor
from ingestion.warehouses.base import LoadRequest, PublishRequest, TargetTable
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.api.conftest import PIPELINE, SOURCE
from ingestion_tests.api.live import Live
from ingestion_tests.steps.workbench import table_schema, write_parquet, write_rejects

Step = tuple[str, str, httpx.Response]
"""Method, path of the table, answer."""


def every_endpoint(service: Live, client: httpx.Client) -> Iterator[Step]:
    service.put_object("sales-data-bucket", "sales_1.csv", "id,name\n1,a\n2,b\n")

    def step(method: str, path: str, body: Any = None, **parts: str) -> Step:
        concrete = path.replace(":path", "").format(**parts)
        return method, path, client.request(method, concrete, json=body)

    yield step("GET", "/sources/types")
    test = {name: SOURCE[name] for name in ("source_type", "connection_details")}
    yield step("POST", "/sources/test-connection", test | {"test_parameters": {"timeout_seconds": 30}})
    created = step("POST", "/sources", SOURCE | {"name": "every endpoint"})
    yield created
    source = created[2].json()["data"]["source_id"]
    yield step("GET", "/sources")
    yield step("GET", "/sources/{source_id}", source_id=source)
    yield step("GET", "/sources/{source_id}/schema/{object_name:path}", source_id=source, object_name="sales_*.csv")
    yield step("PUT", "/sources/{source_id}", {"description": None}, source_id=source)
    created = step("POST", "/pipelines", PIPELINE | {"pipeline_name": "every endpoint", "source_id": source})
    yield created
    pipeline = created[2].json()["data"]["pipeline_id"]
    yield step("GET", "/pipelines")
    yield step("GET", "/pipelines/{pipeline_id}", pipeline_id=pipeline)
    yield step("PUT", "/pipelines/{pipeline_id}", {"description": "changed"}, pipeline_id=pipeline)
    started = step("POST", "/pipelines/{pipeline_id}/execute", {"execution_params": {"x": 1}}, pipeline_id=pipeline)
    yield started
    execution = started[2].json()["data"]["execution_id"]
    yield step("GET", "/executions/{execution_id}", execution_id=execution)
    yield step("GET", "/executions/{execution_id}/tasks", execution_id=execution)
    yield step("POST", "/executions/{execution_id}/cancel", execution_id=execution)
    retried = step("POST", "/executions/{execution_id}/retry", execution_id=execution)
    yield retried
    service.succeed(retried[2].json()["data"]["execution_id"])
    yield step("GET", "/executions/{execution_id}", execution_id=retried[2].json()["data"]["execution_id"])
    yield step("GET", "/executions/{execution_id}/tasks", execution_id=retried[2].json()["data"]["execution_id"])
    yield step("GET", "/pipelines/{pipeline_id}/executions", pipeline_id=pipeline)
    load_with_bad_rows(service.settings, pipeline)
    yield step("GET", "/pipelines/{pipeline_id}/quarantine", pipeline_id=pipeline)
    wanted = {"record_ids": ["load-daily_sales-000000001"]}
    yield step("POST", "/pipelines/{pipeline_id}/quarantine/discard", wanted, pipeline_id=pipeline)
    replayed = step("POST", "/pipelines/{pipeline_id}/quarantine/replay", pipeline_id=pipeline)
    yield replayed
    service.succeed(replayed[2].json()["data"]["execution_id"])
    yield step("GET", "/pipelines/{pipeline_id}/state", pipeline_id=pipeline)
    yield step("PUT", "/pipelines/{pipeline_id}/state", {"cursor": None}, pipeline_id=pipeline)
    yield step("DELETE", "/pipelines/{pipeline_id}", pipeline_id=pipeline)
    yield step("DELETE", "/sources/{source_id}", source_id=source)


def load_with_bad_rows(
    settings: Settings, pipeline_id: str, table: str = "daily_sales", cursor: Cursor | None = None
) -> None:
    """What a worker does to the target: two rows loaded, two quarantined."""
    schema = table_schema(id="INTEGER", at="TIMESTAMP")
    folder = settings.home_dir / "loaded" / pipeline_id
    folder.mkdir(parents=True)
    write_parquet(folder / "rows.parquet", schema, [{"id": 1, "at": None}, {"id": 2, "at": None}])
    write_rejects(folder / "rejects.parquet", 2)
    target, warehouse = TargetTable("sales_data", table), DuckDBWarehouse(settings.warehouse_dir)
    files, rejects = [folder / "rows.parquet"], [folder / "rejects.parquet"]
    warehouse.stage(LoadRequest(f"load-{table}", pipeline_id, target, schema, files, rejects))
    warehouse.publish(
        PublishRequest(
            f"load-{table}", pipeline_id, target, schema, WriteDisposition.WRITE_APPEND, extracted=4, cursor=cursor
        )
    )
