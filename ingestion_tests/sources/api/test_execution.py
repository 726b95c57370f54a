"""An API through the whole service: source, test, schema, pipeline, executions."""

from __future__ import annotations

from typing import Any

import duckdb
import httpx

from ingestion_tests.servers.http_api import HttpApi, document, text
from ingestion_tests.servers.stack import Stack, wait_final

TIME = "2026-11-{:02d}T08:00:00Z"


def orders(*numbers: int, day: int = 1) -> list[dict[str, Any]]:
    return [{"id": number, "amount": number / 4, "changed": TIME.format(day)} for number in numbers]


def created(client: httpx.Client, path: str, body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def executed(client: httpx.Client, pipeline_id: str) -> dict[str, Any]:
    answer = client.post(f"/pipelines/{pipeline_id}/execute", json={})
    assert answer.status_code == 202, answer.text
    return wait_final(client, answer.json()["data"]["execution_id"])


def test_an_incremental_pipeline_on_an_api_with_oauth(stack: Stack, client: httpx.Client, http_api: HttpApi) -> None:
    secrets = stack.home / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "api-client-secret").write_text("s3cret-value\n")
    http_api.required = http_api.has_token
    http_api.rows = orders(*range(250))
    details = {
        "endpoint_url": http_api.url,
        "auth_method": "oauth2",
        "auth_config": {
            "client_id": "me",
            "client_secret_secret": "file://api-client-secret",
            "token_url": f"{http_api.url}/token",
        },
    }
    tested = client.post("/sources/test-connection", json={"source_type": "API", "connection_details": details}).json()
    assert tested["connection_successful"], tested
    source = created(client, "/sources", {"name": "Orders API", "source_type": "API", "connection_details": details})
    schema = client.get(f"/sources/{source['source_id']}/schema/page").json()["data"]
    assert [field["name"] for field in schema["fields"]] == ["id", "amount", "changed"]

    extraction = {"path": "page", "incremental_key": "changed", "cursor_param": "since", "primary_key": "id"}
    pipeline = {
        "pipeline_name": "Orders by API",
        "source_id": source["source_id"],
        "target_dataset": "api_sources",
        "target_table": "orders",
        "configuration": {"extraction_params": extraction},
    }
    pipeline_id = created(client, "/pipelines", pipeline)["pipeline_id"]
    first = executed(client, pipeline_id)
    assert (first["status"], first.get("records_processed")) == ("SUCCESS", 250), first

    http_api.rows = [*orders(*range(240)), *orders(*range(240, 260), day=2)]
    second = executed(client, pipeline_id)
    assert second["status"] == "SUCCESS", second
    assert http_api.asked("/page")[-1].query["since"] == "2026-11-01T08:00:00Z"
    with duckdb.connect(str(next(stack.home.rglob("api_sources*.duckdb"))), read_only=True) as warehouse:
        found = warehouse.execute(
            "SELECT count(*), count(DISTINCT id), max(changed)::DATE::VARCHAR FROM orders"
        ).fetchall()
    assert found == [(260, 260, "2026-11-02")]

    http_api.always["/page"] = text("<html>down for maintenance</html>", "text/html")
    failed = executed(client, pipeline_id)
    assert failed["status"] == "FAILED"
    assert failed["error_details"]["error_code"] == "PARSE_ERROR"
    assert "down for maintenance" in failed["error_details"]["error_message"]
    http_api.always["/page"] = document([])
    assert executed(client, pipeline_id)["status"] == "SUCCESS"
