from __future__ import annotations

import time
from pathlib import Path

import duckdb
import pytest

from ingestion.formats.engine import engine, row_group_size, run


def test_a_statement_is_stopped_by_what_its_tick_raises(tmp_path: Path) -> None:
    def stop() -> None:
        raise InterruptedError

    started = time.monotonic()
    with engine(tmp_path) as connection:
        with pytest.raises(InterruptedError):
            run(connection, "SELECT count(*) FROM range(10000000) a, range(10000000) b", stop)
        assert run(connection, "SELECT 1") == [(1,)]
    assert time.monotonic() - started < 30


def test_errors_of_a_statement_come_out(tmp_path: Path) -> None:
    with engine(tmp_path) as connection, pytest.raises(duckdb.ParserException):
        run(connection, "SELEC 1")


def test_row_groups_follow_the_batch_size_within_limits() -> None:
    assert [row_group_size(size) for size in (None, 1, 5_000, 10**9)] == [65_536, 2_048, 5_000, 65_536]
