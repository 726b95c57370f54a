"""Tables of a dataset file."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.model.schema import FieldType
from ingestion.warehouses import tables
from ingestion.warehouses.base import TargetTable
from ingestion_tests.steps.workbench import table_schema

ODD = TargetTable("ds", 'a "b"; --')


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("CREATE SCHEMA _staging")
        yield opened


def test_names_are_quoted_and_differ(connection: duckdb.DuckDBPyConnection) -> None:
    names = [tables.target_name(ODD), tables.staging_name("e", ODD), tables.rejects_name("e", ODD)]
    for number, name in enumerate(names):
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM range({number})")
    assert [tables.count(connection, name) for name in names] == [0, 1, 2]
    assert tables.exists(connection, "main", ODD.table.upper())
    assert tables.exists(connection, "_staging", f"{ODD.table}__e")
    assert not tables.exists(connection, "main", "nosuch")


def test_a_view_is_told_from_a_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE VIEW v AS SELECT 1 AS a")
    with pytest.raises(TargetFailed, match="is a view"):
        tables.exists(connection, "main", "V")


def test_a_type_without_an_equal_is_named(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE t (a BIGINT, m MAP(VARCHAR, BIGINT))")
    with pytest.raises(SchemaMismatch, match="'m'"):
        tables.schema_of(connection, "t")


def test_new_columns_are_those_that_are_not_there_in_any_case() -> None:
    staged, there = table_schema(ID="INTEGER", more="DATE"), table_schema(id="INTEGER", other="STRING")
    assert [field.name for field in tables.changes(staged, there, "t").added] == ["more"]


def test_every_column_of_another_type_is_listed() -> None:
    staged, there = table_schema(a="FLOAT", b="DATE", c="STRING"), table_schema(a="NUMERIC", b="STRING", c="STRING")
    with pytest.raises(SchemaMismatch, match="a is FLOAT, the target has NUMERIC; b is DATE") as caught:
        tables.changes(staged, there, "t")
    assert len(caught.value.facts["conflicts"]) == 2


@pytest.mark.parametrize(
    ("kind", "wide", "value"),
    [("INTEGER", "NUMERIC", 2**63 - 1), ("INTEGER", "BIGNUMERIC", -(2**63)), ("INTEGER", "FLOAT", 2**53)],
)
def test_a_column_is_widened_without_loss(
    connection: duckdb.DuckDBPyConnection, kind: str, wide: str, value: int
) -> None:
    connection.execute("CREATE TABLE t (a BIGINT)")
    connection.execute("INSERT INTO t VALUES (?), (NULL)", [value])
    needed = tables.changes(table_schema(a=wide), table_schema(a=kind), "t")
    tables.change(connection, "t", needed)
    assert connection.execute("SELECT a FROM t").fetchall() == [(value,), (None,)]
    assert tables.schema_of(connection, "t").fields[0].type is not FieldType.INTEGER


def test_a_column_whose_values_would_change_is_not_widened(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE t AS SELECT 9007199254740993 AS a")
    needed = tables.changes(table_schema(a="FLOAT"), table_schema(a="INTEGER"), "t")
    with pytest.raises(SchemaMismatch, match="cannot become FLOAT: 1 of its values would change"):
        tables.change(connection, "t", needed)
    assert connection.execute("SELECT a FROM t").fetchall() == [(9007199254740993,)]


def test_a_statement_without_an_answer_fails(connection: duckdb.DuckDBPyConnection) -> None:
    assert tables.number(connection, "SELECT 2 + ?", [3]) == 5
    with pytest.raises(TargetFailed, match="no answer"):
        tables.number(connection, "SELECT 1 WHERE false")
