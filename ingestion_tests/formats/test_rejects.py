from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from ingestion.formats import rejects as module
from ingestion.formats.rejects import Reject, RejectFile, reasons_of
from ingestion.formats.staged import REJECT_COLUMNS
from ingestion.sql import parquet_relation


def reasons(tmp_path: Path, *rejects: Reject) -> str:
    file = RejectFile(tmp_path / "rejects.parquet")
    for reject in rejects:
        file.add(reject)
    assert sum(staged.rows for staged in file.close()) == len(rejects)
    with duckdb.connect() as connection:
        return reasons_of(connection, parquet_relation([tmp_path / "rejects.parquet"]))


def misfit(line: int, column: str, got: str | None = "abc", code: str = "TYPE_MISMATCH") -> Reject:
    return Reject("a.csv", f"line {line}", code, column, "INTEGER", got, "whole row")


def test_a_reason_says_where_what_was_expected_and_what_was_found(tmp_path: Path) -> None:
    told = reasons(tmp_path, misfit(4, "id"))
    assert told == "1 TYPE_MISMATCH in id, such as line 4 of 'a.csv' (expected INTEGER, got 'abc')"


@pytest.mark.parametrize("expected", [None, "a value"])
def test_what_is_unknown_is_left_out(tmp_path: Path, expected: str | None) -> None:
    told = reasons(tmp_path, Reject("", "row 7", "NULL_KEY", None, expected, None, None))
    assert told == "1 NULL_KEY, such as row 7" + (" (expected a value)" if expected else "")


def test_frequent_reasons_come_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    rejects = [misfit(line, "id") for line in range(2, 5)] + [misfit(9, name) for name in ("a", "b", "c")]
    told = reasons(tmp_path, *rejects)
    assert told.startswith("3 TYPE_MISMATCH in id")
    assert told.endswith("and 1 other reasons")


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    assert "x" * 80 + "..." in reasons(tmp_path, misfit(2, "id", "x" * 5_000))
    assert "x" * 81 not in reasons(tmp_path, misfit(2, "id", "x" * 5_000))


REJECT = Reject("a.csv", "line 4", "TYPE_MISMATCH", "n", "INTEGER", "x" * 5_000, "row " * 5_000)


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    rejects = RejectFile(tmp_path / "r.parquet")
    assert list(rejects.close()) == []
    RejectFile(tmp_path / "r.parquet").abandon()
    assert list(tmp_path.iterdir()) == []


def test_rows_are_kept_whole_and_values_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_ROWS", 2)
    rejects = RejectFile(tmp_path / "r.parquet")
    for number in range(5):
        rejects.add(replace(REJECT, position=f"line {number}"))
    (file,) = rejects.close()
    assert (file.name, file.rows, rejects.count) == ("r.parquet", 5, 5)
    rows = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert list(rows[0]) == list(REJECT_COLUMNS)
    assert [row["position"] for row in rows] == [f"line {number}" for number in range(5)]
    assert {(row["stage"], row["raw_row"], len(row["got"])) for row in rows} == {("extract", REJECT.raw_row, 1_000)}


def test_bytes_that_are_no_text_are_shown_as_escapes(tmp_path: Path) -> None:
    rejects = RejectFile(tmp_path / "r.parquet")
    rejects.add(replace(REJECT, raw_row=b"caf\xe9,\xc3\xa9".decode("utf-8", "surrogateescape"), got=None))
    rejects.close()
    (row,) = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert (row["raw_row"], row["got"]) == ("caf\\xe9,é", None)
