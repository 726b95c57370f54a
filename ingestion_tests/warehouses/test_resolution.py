"""Which staged rows are written, whatever the columns are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import quoted
from ingestion.model.schema import TableSchema
from ingestion.sources.base import Cursor
from ingestion.warehouses.resolution import (
    AMBIGUOUS_KEY,
    NULL_KEY,
    PRESENT,
    REPEATED,
    VERDICTS,
    judge_append,
    judge_merge,
    no_verdicts,
)
from ingestion_tests.steps.workbench import table_schema

# Names that the statements themselves use.
NAMES = ["id", "row", "copies", "copy", "age", "latest", "verdict", "s", "r", "t", "c0", "c1", "present", 'a "b"']
Rows = Sequence[tuple[int | None, int | None]]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def make(connection: duckdb.DuckDBPyConnection, table: str, schema: TableSchema, rows: Rows) -> None:
    columns = ", ".join(f"{quoted(name)} BIGINT" for name in schema.names)
    connection.execute(f"CREATE TABLE {table} ({columns})")
    if rows:
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [list(row) for row in rows])


def verdicts(connection: duckdb.DuckDBPyConnection) -> Mapping[int, str]:
    found = connection.execute(f"SELECT row, verdict FROM {VERDICTS}").fetchall()
    assert len({row for row, _ in found}) == len(found)
    return dict(found)


def test_without_a_judgement_every_row_is_written(connection: duckdb.DuckDBPyConnection) -> None:
    no_verdicts(connection)
    assert verdicts(connection) == {}


@pytest.mark.parametrize("name", NAMES)
def test_of_one_key_the_latest_is_written(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    schema = table_schema(**{name: "INTEGER", "at": "INTEGER"})
    rows: Rows = [(1, 1), (1, 2), (1, 2), (2, 5), (3, 7), (None, 1), (None, 1), (4, None), (4, 0)]
    make(connection, "staging", schema, rows)
    judge_merge(connection, "staging", schema, (name,), "at")
    assert verdicts(connection) == {0: REPEATED, 2: REPEATED, 5: NULL_KEY, 6: NULL_KEY, 7: REPEATED}


@pytest.mark.parametrize("name", NAMES)
def test_latest_rows_that_differ_are_ambiguous(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    schema = table_schema(**{"key": "INTEGER", name: "INTEGER"})
    make(connection, "staging", schema, [(1, 1), (1, 2), (2, 3), (2, 3), (3, 0)])
    judge_merge(connection, "staging", schema, ("key",), None)
    assert verdicts(connection) == {0: AMBIGUOUS_KEY, 1: AMBIGUOUS_KEY, 3: REPEATED}


def test_a_key_of_two_columns_needs_both(connection: duckdb.DuckDBPyConnection) -> None:
    schema = table_schema(a="INTEGER", b="INTEGER")
    make(connection, "staging", schema, [(1, 1), (1, 2), (1, None), (1, None), (1, 1)])
    judge_merge(connection, "staging", schema, ("A", "B"), None)
    assert verdicts(connection) == {2: NULL_KEY, 3: NULL_KEY, 4: REPEATED}


@pytest.mark.parametrize("key", [(), ("nosuch",), ("a", "nosuch")])
def test_a_key_that_is_not_there_is_refused(connection: duckdb.DuckDBPyConnection, key: tuple[str, ...]) -> None:
    schema = table_schema(a="INTEGER", b="INTEGER")
    make(connection, "staging", schema, [])
    with pytest.raises(SchemaMismatch, match="merge key"):
        judge_merge(connection, "staging", schema, key, None)


@pytest.mark.parametrize("name", NAMES)
def test_an_append_skips_as_many_copies_as_there_are(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    schema = table_schema(**{name: "INTEGER", "n": "INTEGER"})
    make(connection, "target", schema, [(5, 1), (5, 1), (0, None)])
    make(connection, "staging", schema, [(5, 1), (5, 1), (5, 1), (0, None), (7, 7)])
    judge_append(connection, "staging", schema, "target", schema, None)
    assert verdicts(connection) == {0: PRESENT, 1: PRESENT, 3: PRESENT}


@pytest.mark.parametrize(("value", "skipped"), [("2", {1, 2}), ("not a number", {0, 1, 2})])
def test_the_window_bounds_the_comparison(connection: duckdb.DuckDBPyConnection, value: str, skipped: set[int]) -> None:
    schema = table_schema(row="INTEGER", copies="INTEGER")
    make(connection, "target", schema, [(1, 1), (2, 2), (3, None)])
    make(connection, "staging", schema, [(1, 1), (2, 2), (3, None)])
    judge_append(connection, "staging", schema, "target", schema, Cursor("Copies", value))
    assert set(verdicts(connection)) == skipped


def test_rows_without_a_common_column_are_all_new(connection: duckdb.DuckDBPyConnection) -> None:
    staged, there = table_schema(a="INTEGER", b="INTEGER"), table_schema(x="INTEGER", y="INTEGER")
    make(connection, "target", there, [(1, 1)])
    make(connection, "staging", staged, [(1, 1)])
    judge_append(connection, "staging", staged, "target", there, None)
    assert verdicts(connection) == {}
