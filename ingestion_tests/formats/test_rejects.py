from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingestion.formats.rejects import Reject, RejectFile, reasons_of
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
