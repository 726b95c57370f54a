"""An execution through the whole service with an identity at Google: the key from Secret Manager, the rows from GCS.

The forked worker is the one that speaks gRPC and HTTP here; and the key is found nowhere afterwards.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ingestion_tests.servers.gcs import FakeGcs
from ingestion_tests.servers.gcs_front import GcsFront
from ingestion_tests.servers.google_tokens import ACCOUNT, KEY_TOKEN, TokenServer, token_server
from ingestion_tests.servers.secret_manager import FakeSecretManager, secret_manager
from ingestion_tests.servers.slow_source import execute
from ingestion_tests.servers.stack import start_stack, wait_final

__all__ = ["secret_manager", "token_server"]

KEY, BROKEN = "projects/shop/secrets/loader-key", "projects/shop/secrets/broken-key"


def test_a_bucket_by_a_key_in_secret_manager(
    fake_gcs: FakeGcs, token_server: TokenServer, secret_manager: FakeSecretManager, tmp_path: Path
) -> None:
    secret_manager.add(KEY, token_server.key().encode())
    secret_manager.add(BROKEN, token_server.key().encode())
    secret_manager.damage(BROKEN)
    fake_gcs.put("guarded-bucket", "sales 1.csv", b"id,amount\n1,2.5\n2,3.5\n")
    stack = start_stack(tmp_path / "home", INGESTION_SECRET_MANAGER_ENDPOINT=secret_manager.endpoint)
    try:
        with GcsFront(fake_gcs) as front, stack.client() as client:
            front.token = KEY_TOKEN
            source: dict[str, Any] = {"source_type": "GCS", "connection_details": {"bucket_name": "guarded-bucket"}}
            source["connection_details"] |= {"endpoint": front.endpoint}
            for secret, code in ((None, "AUTHENTICATION_FAILED"), (BROKEN, "SECRET_UNAVAILABLE"), (KEY, None)):
                if secret is not None:
                    source["connection_details"] |= {"credentials_secret": secret}
                report = client.post("/sources/test-connection", json=source).json()
                assert report["test_results"].get("error_code") == code
                assert report["connection_successful"] is (code is None)
            assert report["test_results"]["checks"][2]["message"] == f"a token for {ACCOUNT}"
            source_id = client.post("/sources", json={"name": "Guarded", **source}).json()["data"]["source_id"]
            body = {
                "pipeline_name": "Guarded",
                "source_id": source_id,
                "target_dataset": "guarded",
                "target_table": "sales",
                "configuration": {"extraction_params": {"file_pattern": "sales*.csv"}},
            }
            pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
            execution = wait_final(client, execute(client, pipeline_id))
            assert (execution["status"], execution["records_processed"]) == ("SUCCESS", 2)
    finally:
        stack.stop()
    private = json.loads(token_server.key())["private_key"].splitlines()[3].encode()
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and private in path.read_bytes()]
    assert kept == []
