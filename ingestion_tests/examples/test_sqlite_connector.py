"""The example of a connector: installed as any package, held against the contract, and used by a running service."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingestion_tests.servers.stack import Stack, start_stack, wait_final

EXAMPLE = Path(__file__).parents[2] / "examples" / "sqlite_connector"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in it."""
    folder = tmp_path_factory.mktemp("example")
    # Building leaves folders behind in what it builds.
    package = shutil.copytree(EXAMPLE, folder / "package", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "site")]
    subprocess.run([*command, str(package)], check=True, capture_output=True)
    return folder


def environment(installed: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(installed / "site")}


def test_it_keeps_the_contract_of_connectors(installed: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_contract.py"]
    answer = subprocess.run(
        command,
        cwd=installed / "package",
        env=os.environ | environment(installed),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stdout
    assert "12 passed" in answer.stdout


@pytest.fixture
def stack(installed: Path, tmp_path: Path) -> Iterator[Stack]:
    running = start_stack(tmp_path / "home", **environment(installed))
    yield running
    assert running.stop() == 0


def test_a_running_service_reads_through_it(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    add_orders(path, range(1, 1001))
    details = {"connector": "sqlite", "config": {"path": str(path)}}
    with stack.client() as client:
        wrong = {"connector": "sqlite", "config": {"file": str(path)}}
        refused = client.post("/sources", json={"name": "s", "source_type": "CUSTOM", "connection_details": wrong})
        assert refused.status_code == 400
        assert "connection_details.config.file: unknown field; known fields are path" in refused.json()["message"]
        test = {"source_type": "CUSTOM", "connection_details": details}
        assert client.post("/sources/test-connection", json=test).json()["connection_successful"] is True
        source = client.post("/sources", json={"name": "shop", **test}).json()["data"]
        schema = client.get(f"/sources/{source['source_id']}/schema/orders").json()["data"]
        types = {field["name"]: field["type"] for field in schema["fields"]}
        assert types == {"id": "INTEGER", "item": "STRING", "price": "FLOAT"}
        pipeline = {
            "pipeline_name": "orders",
            "source_id": source["source_id"],
            "target_dataset": "shop",
            "target_table": "orders",
            "configuration": {"extraction_params": {"object": "orders", "incremental_key": "id"}},
        }
        pipeline_id = client.post("/pipelines", json=pipeline).json()["data"]["pipeline_id"]
        counts = []
        for _ in range(2):
            accepted = client.post(f"/pipelines/{pipeline_id}/execute", json={}).json()["data"]
            execution = wait_final(client, accepted["execution_id"])
            assert execution["status"] == "SUCCESS", execution
            counts.append(execution["records_processed"])
            add_orders(path, range(1001, 1101))
    # The second execution reads from id 1000 on, and merges that row again by the table's own key.
    assert counts == [1000, 101]


def add_orders(path: Path, numbers: range) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT, price REAL)")
        rows = [(number, f"item {number}", number / 4) for number in numbers]
        connection.executemany("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", rows)
