"""A cursor that is set, killed or not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.model.load import WriteDisposition
from ingestion.sources.base import Cursor
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.loading import TARGET, load

_KILLED = """
import os, signal, sys
from pathlib import Path
from ingestion.sources.base import Cursor
from ingestion.warehouses import publishing
from ingestion.warehouses.duckdb import DuckDBWarehouse
from ingestion_tests.warehouses.loading import TARGET

folder, version, when = sys.argv[1:]
commit = publishing.commit

def dying(connection):
    if when == "after":
        commit(connection)
    os.kill(os.getpid(), signal.SIGKILL)

publishing.commit = dying
DuckDBWarehouse(Path(folder), 5).set_cursor("p", TARGET, Cursor("id", "1"), by="me", version=version)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cursor_whose_setting_was_killed_is_the_old_or_the_new_one(tmp_path: Path, when: str) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w", wait_seconds=5)
    rows = [{"id": 1}, {"id": 2}]
    load(
        warehouse, tmp_path, "e1", table_schema(id="INTEGER"), rows, WriteDisposition.WRITE_APPEND,
        cursor=Cursor("id", "2"),
    )  # fmt: skip
    before = warehouse.cursor_state("p", TARGET)
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "w"), before.version, when]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert finished.returncode == -signal.SIGKILL, finished.stderr
    after = warehouse.cursor_state("p", TARGET)
    if when == "before":
        assert after == before
    else:
        assert (after.cursor, after.previous_value, after.set_by) == (Cursor("id", "1"), "2", "me")
    again = warehouse.set_cursor("p", TARGET, Cursor("id", "1"), by="me", version=after.version)
    assert (again.cursor, again.previous_value) == (Cursor("id", "1"), "2")
