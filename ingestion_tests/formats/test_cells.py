"""Rows of text cells, on the fast way and on the slow one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.formats import cells as module
from ingestion.formats.cells import CellFile


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("batch", [1, 3, 20_000])
def test_lines_and_cells_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(module, "_BATCH_ROWS", batch)
    path = tmp_path / "x.raw"
    with CellFile(path, ["c0", "c1"], ["", "NA"], keeps_text=True, delimiter=";") as cells:
        cells.add_line("a;NA", 2)
        cells.add(["NA", "NA"], 3, '"NA";NA', [0])
        cells.add_line(";x y", 5)
        cells.add(["", "é\n"], 6, ";é")
        cells.add_line('b";\\', 8)
    assert cells.rows == 5
    assert read(path) == [
        {"position": 2, "text": "a;NA", "c0": "a", "c1": None},
        {"position": 3, "text": '"NA";NA', "c0": "NA", "c1": None},
        {"position": 5, "text": ";x y", "c0": None, "c1": "x y"},
        {"position": 6, "text": ";é", "c0": None, "c1": "é\n"},
        {"position": 8, "text": 'b";\\', "c0": 'b"', "c1": "\\"},
    ]


def test_without_markers_nothing_is_null(tmp_path: Path) -> None:
    path = tmp_path / "x.raw"
    with CellFile(path, ["c0"], [], keeps_text=False) as cells:
        cells.add_line("", 1)
        cells.add([""], 2, "")
        cells.add_line("NULL", 3)
    assert read(path) == [{"position": 1, "c0": ""}, {"position": 2, "c0": ""}, {"position": 3, "c0": "NULL"}]


def test_an_error_promises_nothing_but_a_closed_file(tmp_path: Path) -> None:
    path = tmp_path / "x.raw"
    cells = CellFile(path, ["c0"], [], keeps_text=False)
    cells.add_line("a", 1)
    cells.__exit__(KeyError, KeyError(), None)
    assert cells.rows == 0
    assert read(path) == []
