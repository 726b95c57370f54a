"""Batches of BigQuery's Arrow types into staged files, without a server."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.formats.rejects import RejectFile
from ingestion.sources.bigquery_reading import rows_that_fit
from ingestion_tests.steps.workbench import table_schema


def test_decimals_beyond_38_digits_are_rejected_with_their_rows(tmp_path: Path) -> None:
    """BIGNUMERIC has up to 76 digits; the same value is kept when it fits, to the last digit."""
    schema = table_schema(big="BIGNUMERIC", id="INTEGER")
    values = [Decimal("1.000000000000000001"), Decimal("123456789012345678901234567890.5"), Decimal("1e-38"), None]
    batch = pa.table({"id": [1, 2, 3, 4], "big": pa.array(values, pa.decimal256(76, 38))})
    rejects = RejectFile(tmp_path / "rejects.parquet")
    kept = rows_that_fit(batch, schema, rejects, "The table 't'", 10)
    assert kept.to_pylist() == [{"big": Decimal("1.000000000000000001"), "id": 1}, {"big": None, "id": 4}]
    rejects.close()
    found = pq.read_table(tmp_path / "rejects.parquet").to_pylist()
    assert [(row["position"], row["column_name"], json.loads(row["raw_row"])["id"]) for row in found] == [
        ("row 12", "big", 2),
        ("row 13", "big", 3),
    ]
    assert found[0]["got"].startswith("123456789012345678901234567890.5")
