"""The contract's own scene: its bucket, its customer database, its two sources and two pipelines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from ingestion_tests.servers.postgres import PostgresServer
from ingestion_tests.servers.stack import Stack, start_stack

SALES_COLUMNS = ("sale_id", "product_id", "sale_date", "quantity", "unit_price", "customer_id")
SALES_ROWS = 5280
BUCKET_FILES, BUCKET_BYTES = 15, 1_024_000


@pytest.fixture(scope="module")
def scene() -> Iterator[Stack]:
    """A fresh service whose bucket holds what the contract's examples measure."""
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        running = start_stack(Path(folder) / "home")
        fill_sales_bucket(running)
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def admin(scene: Stack) -> Iterator[httpx.Client]:
    with scene.client() as client:
        yield client


@pytest.fixture(scope="module")
def sales_database(postgres: PostgresServer) -> str:
    """Name of a database with the table of the contract's schema example."""
    url = postgres.create_database("golden_sales")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """
            CREATE TABLE sales_data (
                sale_id text NOT NULL, product_id text NOT NULL, sale_date timestamptz NOT NULL,
                quantity integer NOT NULL, unit_price double precision NOT NULL, customer_id text);
            COMMENT ON COLUMN sales_data.sale_id IS 'Unique sale identifier';
            COMMENT ON COLUMN sales_data.product_id IS 'Product identifier';
            COMMENT ON COLUMN sales_data.sale_date IS 'Date and time of sale';
            COMMENT ON COLUMN sales_data.quantity IS 'Quantity sold';
            COMMENT ON COLUMN sales_data.unit_price IS 'Price per unit';
            COMMENT ON COLUMN sales_data.customer_id IS 'Customer identifier';
            INSERT INTO sales_data VALUES ('S12345', 'P789', '2023-06-01T10:30:00Z', 5, 29.99, 'C1001');
            """
        )
    return "golden_sales"


def fill_sales_bucket(stack: Stack) -> None:
    """One file of SALES_ROWS sales, and others up to the file count and the bytes of the connection test example."""
    rows = [(f"S{n}", f"P{n % 97}", "2023-06-01T10:30:00Z", n % 9 + 1, 29.99, f"C{n % 311}") for n in range(SALES_ROWS)]
    used = stack.put_rows("sales-data-bucket", "sales_20230615.csv", SALES_COLUMNS, rows).stat().st_size
    others = BUCKET_FILES - 1
    share, rest = divmod(BUCKET_BYTES - used, others)
    for number in range(others):
        size = share + (rest if number == 0 else 0)
        stack.put_object("sales-data-bucket", f"other_{number:02}.csv", ("x" * (size - 1) + "\n").encode())
