"""The table of rejected rows in a DuckDB dataset."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ingestion.formats.staged import REJECT_COLUMNS
from ingestion.model.load import WriteDisposition
from ingestion.model.quarantine import QuarantineSelection, QuarantineStatus
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.loading import TARGET, load

SCHEMA = table_schema(id="INTEGER")
APPEND = WriteDisposition.WRITE_APPEND
OLD_COLUMNS = [name for name in REJECT_COLUMNS if name != "raw_columns"]


def _make_old_quarantine(path: Path) -> None:
    """As the first version made it: without ids, decisions and the names of a row's columns."""
    with duckdb.connect(str(path)) as connection:
        columns = ", ".join(f"{name} VARCHAR" for name in [*OLD_COLUMNS, "execution_id", "pipeline_id"])
        connection.execute(
            f"CREATE TABLE main.Orders__quarantine ({columns}, quarantined_at TIMESTAMP WITH TIME ZONE, status VARCHAR)"
        )
        for execution_id, raw_row in [("e1", "a"), ("e1", "b"), ("e0", "c")]:
            connection.execute(
                "INSERT INTO main.Orders__quarantine (execution_id, pipeline_id, raw_row, quarantined_at, status) "
                "VALUES (?, 'p', ?, TIMESTAMPTZ '2023-06-15 00:00:00+00', 'OPEN')",
                [execution_id, raw_row],
            )


def test_a_quarantine_of_an_earlier_version_gets_ids_in_place(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w", wait_seconds=5)
    load(warehouse, tmp_path, "e1", SCHEMA, [{"id": 1}], APPEND)
    _make_old_quarantine(warehouse.path("ds"))
    everything = QuarantineSelection("p")
    for _ in range(2):  # Looking brings it up to date once; the ids stay.
        page = warehouse.quarantined(TARGET, everything, 0, 10)
        ids = {record.record_id: record.raw_row for record in page.records}
        assert ids == {"e0-000000001": "c", "e1-000000001": "a", "e1-000000002": "b"}
        assert {record.status for record in page.records} == {QuarantineStatus.OPEN}
    load(warehouse, tmp_path, "e2", SCHEMA, [{"id": 2}], APPEND, rejects=[{"raw_row": "d", "raw_columns": "[]"}])
    assert warehouse.quarantined(TARGET, everything, 0, 10).total == 4
    assert warehouse.discard_quarantined(TARGET, QuarantineSelection("p", ("e1-000000002",)), "me") == 1
    assert warehouse.export_quarantine(TARGET, everything.only_open(), tmp_path / "out.parquet") == 3


def test_a_load_is_the_first_to_meet_a_quarantine_of_an_earlier_version(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w", wait_seconds=5)
    load(warehouse, tmp_path, "e1", SCHEMA, [{"id": 1}], APPEND)
    _make_old_quarantine(warehouse.path("ds"))
    load(warehouse, tmp_path, "e2", SCHEMA, [{"id": 2}], APPEND, rejects=[{"raw_row": "d"}])
    found = warehouse.quarantined(TARGET, QuarantineSelection("p"), 0, 10).records
    assert sorted(record.record_id for record in found) == [
        "e0-000000001", "e1-000000001", "e1-000000002", "e2-000000001",
    ]  # fmt: skip
