"""The connector against the tests that every connector has to pass."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from ingestion_sqlite import SqliteConnector

from ingestion.connectors.contract import ConnectorCase, ConnectorContract


class TestSqliteConnector(ConnectorContract):
    """Everything is inherited; only the case is ours."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> ConnectorCase:
        path = tmp_path / "shop.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL)")
            rows = [(number, f"item {number}", number / 4) for number in range(1, 2501)]
            connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        connection.close()
        return ConnectorCase(
            connector=SqliteConnector,
            config={"path": str(path)},
            object_name="orders",
            rows=2500,
            unreachable_config={"path": str(tmp_path / "missing.sqlite")},
            cursor=("id", "2000"),
            rows_from_cursor=501,
        )
