"""DuckDB as a bounded engine: one private connection per use, spilling below the staging folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

MEMORY_LIMIT = "256MB"
ROW_GROUP = 65_536
_MIN_ROW_GROUP = 2_048
_TICK_SECONDS = 0.5

Tick = Callable[[], None]
"""Called about twice a second while a statement runs; what it raises stops the statement."""


@contextmanager
def engine(folder: Path, threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB in UTC that keeps to MEMORY_LIMIT, spills into `folder` and fetches no extension."""
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(folder / "spill"),
            "threads": threads,
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def row_group_size(batch_size: int | None) -> int:
    """Rows per Parquet row group: the execution's batch_size within what DuckDB writes well."""
    return ROW_GROUP if batch_size is None else max(_MIN_ROW_GROUP, min(batch_size, ROW_GROUP))


def run(connection: duckdb.DuckDBPyConnection, sql: str, tick: Tick = lambda: None) -> list[tuple[Any, ...]]:
    """Execute `sql` in a thread while `tick` is called; an error of either stops both and is raised."""
    outcome: list[list[tuple[Any, ...]]] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(connection.execute(sql).fetchall())
        except BaseException as error:
            failure.append(error)

    worker = threading.Thread(target=work, name="duckdb-statement", daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_TICK_SECONDS)
            tick()
    except BaseException:
        while worker.is_alive():  # An interrupt before the statement has begun is lost, so it is repeated.
            connection.interrupt()
            worker.join(0.05)
        raise
    if failure:
        raise failure[0]
    return outcome[0]
