"""only_new_files: what was loaded is not read again, whatever the write mode, and the table is not emptied for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion_tests.steps.workbench import SCHEMA, Bench, RowsConnector


@pytest.mark.parametrize("load", [{"write_disposition": "WRITE_TRUNCATE"}, {"merge_key": "id"}])
def test_a_file_is_read_once(tmp_path: Path, load: dict[str, str]) -> None:
    bench = Bench(tmp_path, {"extraction_params": {"only_new_files": True}, "load_params": load})
    rows = {"a.csv": [{"id": 1, "name": "a"}]}
    bench.run(RowsConnector(SCHEMA, rows), "e1")
    again = bench.run(RowsConnector(SCHEMA, rows), "e2")
    assert (again.extracted, again.target_rows) == (0, 1)
    more = bench.run(RowsConnector(SCHEMA, rows | {"b.csv": [{"id": 2, "name": "b"}]}), "e3")
    assert (more.extracted, more.loaded) == (1, 1)
    assert {item.name for item in bench.state().loaded_objects} == {"a.csv", "b.csv"}
    forced = bench.run(RowsConnector(SCHEMA, rows), "e4", is_forced=True)
    assert forced.extracted == 1
