"""Tables and queries as the server describes them."""

from __future__ import annotations

import pytest

from ingestion.errors import ObjectMissing, QueryFailed
from ingestion.model.macros import Interval
from ingestion.model.schema import FieldMode
from ingestion.sources.postgres_connection import session
from ingestion.sources.postgres_relation import query_relation, table_relation
from ingestion_tests.sources.conftest import AT
from ingestion_tests.sources.postgres_workbench import Database, login

DAY = Interval(AT.date(), AT.date(), AT)


def test_keys_are_named_as_the_columns_are(database: Database) -> None:
    """A key "A" beside a column "a" is not that column; of two names that differ in case one is changed."""
    database.run('CREATE TABLE t (a int, "A" int NOT NULL, " b " text, PRIMARY KEY (" b ", "A"))')
    with session(login(database.connection(), database.context)) as opened:
        relation = table_relation(opened, "t")
    assert [column.name for column in relation.columns] == ["a", "A_2", "b"]
    assert relation.keys == ("b", "A_2")
    assert [column.staged.field.mode for column in relation.columns] == [
        FieldMode.NULLABLE,
        FieldMode.REQUIRED,
        FieldMode.REQUIRED,
    ]
    assert (relation.alias("A_2"), relation.column("b").type.label) == ("c1", "text")
    with pytest.raises(ObjectMissing, match="no column 'B'; it has a, A_2, b"):
        relation.alias("B")


def test_domains_are_what_they_are_based_on(database: Database) -> None:
    database.run("CREATE DOMAIN money_of AS numeric(10, 2)", "CREATE DOMAIN price AS money_of")
    database.run("CREATE TABLE t (v price, gone int, l int[])", "ALTER TABLE t DROP COLUMN gone")
    with session(login(database.connection(), database.context)) as opened:
        relation = table_relation(opened, "T")
    assert [column.type.label for column in relation.columns] == ["numeric(10,2)", "integer[]"]
    assert relation.keys == ()


def test_queries(database: Database) -> None:
    with session(login(database.connection(), database.context)) as opened:
        relation = query_relation(opened, "SELECT 1 AS a, '{{ds}}'::date AS b -- the day\n;", DAY)
        rows = opened.execute(f"SELECT c1::text FROM {relation.source}".encode()).fetchall()
        assert rows == [("2026-11-24",)]
        assert [column.name for column in relation.columns] == ["a", "b"]
        with pytest.raises(QueryFailed, match="must be a SELECT"):
            query_relation(opened, "SET TimeZone = 'UTC'", DAY)


def test_tables_are_found_by_schema_and_by_exact_or_lower_case_name(database: Database) -> None:
    database.run(
        'CREATE SCHEMA "S x"',
        'CREATE TABLE "S x"."Table" (a int)',
        "CREATE TABLE plain (b int)",
        "CREATE VIEW seen AS SELECT 1 AS c",
    )
    assert database.connector().describe("S x.Table", 1).schema.names == ["a"]
    assert database.extract(table="PLAIN")[0].schema.names == ["b"]
    assert database.extract(table="public.plain")[0].schema.names == ["b"]
    assert database.extract(table="seen")[1] == [{"c": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t RETURNING id",
        "WITH gone AS (DELETE FROM t RETURNING id) SELECT * FROM gone",
        "SELECT 1; SELECT 2",
        "SELECT id FROM t) AS x; DROP TABLE t; SELECT * FROM (SELECT 1 AS id",
        "DROP TABLE t",
        "SELECT nextval('s')",
        "SELECT id INTO other FROM t",
    ],
)
def test_only_a_single_statement_that_reads_is_run(database: Database, query: str) -> None:
    database.run("CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)", "CREATE SEQUENCE s")
    with pytest.raises(QueryFailed):
        database.extract(query=query)
    _, rows = database.extract(table="t")
    assert rows == [{"id": 7}]


def test_a_wrong_query_says_where(database: Database) -> None:
    with pytest.raises(QueryFailed, match=r"syntax error.*at character 14"):
        database.extract(query="SELECT 1 FRM x y")


def test_what_is_missing_is_missing(database: Database) -> None:
    with pytest.raises(ObjectMissing, match="nothing_here"):
        database.extract(table="nothing_here")
    with pytest.raises(ObjectMissing, match="nothing_here"):
        database.extract(query="SELECT * FROM nothing_here")
    with pytest.raises(ObjectMissing, match="does not exist"):
        database.extract(database.connector(database="not_there"), table="t")
    database.run("CREATE TABLE t (id int)")
    with pytest.raises(ObjectMissing, match="no column 'at'"):
        database.extract(table="t", incremental_key="at")


def test_macros_are_bound_and_not_spliced(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, at timestamptz, note text)",
        "INSERT INTO t VALUES (1, '2026-11-24', '50%'), (2, '2026-11-23', 'x')",
    )
    query = "SELECT id, note FROM t WHERE at >= '{{ds}}' AND note LIKE '%\\%' -- the last ones\n;"
    result, rows = database.extract(query=query)
    assert rows == [{"id": 1, "note": "50%"}]
    assert result.schema.names == ["id", "note"]
    assert result.task_params["sql"] == query


def test_columns_of_one_name_are_told_apart(database: Database) -> None:
    _, rows = database.extract(query="SELECT 1 AS a, 2 AS a, 'x' AS \"A\"")
    assert rows == [{"a": 1, "a_2": 2, "A_3": "x"}]
