"""Promise 6: no secret value is ever stored, logged, or sent back."""

from __future__ import annotations

import uuid
from pathlib import Path

import httpx
import psycopg
import pytest

from ingestion_tests.servers.postgres import PostgresServer
from ingestion_tests.servers.slow_source import execute
from ingestion_tests.servers.stack import start_stack, wait_final

SECRET = f"s3cr3t-{uuid.uuid4().hex}"


def leaks(folder: Path, secret: str) -> list[Path]:
    """Files below `folder` that hold the secret, other than the secret file itself."""
    needle = secret.encode()
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "secrets" and needle in path.read_bytes()
    ]


def test_a_password_is_used_but_found_nowhere(postgres: PostgresServer, tmp_path: Path) -> None:
    database = f"secret_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.create_database(database), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {database} LOGIN PASSWORD '{SECRET}'")
        connection.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 10) g")
        connection.execute(f"GRANT SELECT ON t TO {database}")
    stack = start_stack(tmp_path / "home", DATABASE_PASSWORD=SECRET)
    sent: list[str] = []
    try:
        with stack.client() as client:
            client.event_hooks = {"response": [lambda answer: sent.append(_text(answer))]}
            for reference, right in (("env://DATABASE_PASSWORD", True), ("env://NOT_SET", False)):
                details = {
                    "host": postgres.host,
                    "port": postgres.port,
                    "database": database,
                    "sslmode": "disable",
                    "credentials": {"username": database, "password_secret": reference},
                }
                source = {"name": reference, "source_type": "CLOUD_SQL", "connection_details": details}
                client.post("/sources/test-connection", json={key: source[key] for key in list(source)[1:]})
                source_id = client.post("/sources", json=source).json()["data"]["source_id"]
                client.get(f"/sources/{source_id}/schema/t")
                body = {
                    "pipeline_name": reference,
                    "source_id": source_id,
                    "target_dataset": "secrets_test",
                    "target_table": "t",
                    "configuration": {"extraction_params": {"table": "t"}},
                }
                pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
                execution = wait_final(client, execute(client, pipeline_id))
                assert (execution["status"] == "SUCCESS") is right, execution
    finally:
        assert stack.stop() == 0
    assert sent
    assert not [text for text in sent if SECRET in text]
    assert leaks(tmp_path, SECRET) == []


def _text(answer: httpx.Response) -> str:
    answer.read()
    return answer.text + str(answer.headers)


def test_a_leak_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"password={SECRET}")
    assert leaks(tmp_path, SECRET) == [tmp_path / "log"]
    with pytest.raises(AssertionError):
        assert leaks(tmp_path, SECRET) == []
