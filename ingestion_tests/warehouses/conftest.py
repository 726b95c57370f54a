"""Warehouses for tests that state what every warehouse promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.settings import Settings
from ingestion.warehouses import TargetTable, Warehouse, open_warehouse
from ingestion_tests.servers.bigquery import PROJECT, STAGING_BUCKET, BigQueryServer


@dataclass
class Place:
    """An empty dataset of a warehouse, and a client of the tests' own that looks into it."""

    warehouse: Warehouse
    target: TargetTable
    select: Callable[[str], list[tuple[Any, ...]]]

    def rows(self, columns: str = "*", table: str | None = None) -> list[tuple[Any, ...]]:
        """The rows of the target or of another table, by their text."""
        found = self.select(f"SELECT {columns} FROM {self.target.dataset}.{table or self.target.table}")
        return sorted(found, key=repr)


def bigquery_settings(server: BigQueryServer, home: Path) -> Settings:
    """The settings of a deployment that loads into the emulator."""
    return Settings(
        home=home,
        warehouse="bigquery",
        bigquery_project=PROJECT,
        bigquery_endpoint=server.endpoint,
        bigquery_staging_bucket=f"gs://{STAGING_BUCKET}/a b",
        gcs_endpoint=server.gcs.endpoint,
    )


def bigquery_place(server: BigQueryServer, home: Path) -> Place:
    """A dataset of the emulator that does not exist yet."""
    dataset = f"w{abs(hash(str(home))) % 10**10}"
    warehouse = open_warehouse(bigquery_settings(server, home))
    return Place(warehouse, TargetTable(dataset, "Orders"), server.rows)


@pytest.fixture(params=["duckdb", "bigquery"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty dataset: in DuckDB, then in BigQuery."""
    if request.param == "bigquery":
        return bigquery_place(request.getfixturevalue("bigquery_server"), tmp_path)
    settings = Settings(home=tmp_path)

    def select(statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(settings.warehouse_dir / "ds.duckdb"), read_only=True) as connection:
            connection.execute("USE main")
            return connection.execute(statement.replace("ds.", "main.")).fetchall()

    return Place(open_warehouse(settings), TargetTable("ds", "Orders"), select)


@pytest.fixture
def bigquery(bigquery_server: BigQueryServer, tmp_path: Path) -> Place:
    """An empty dataset in BigQuery."""
    return bigquery_place(bigquery_server, tmp_path)
