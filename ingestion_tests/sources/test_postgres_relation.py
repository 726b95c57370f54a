"""Tables and queries as the server describes them."""

from __future__ import annotations

import pytest

from ingestion.errors import ObjectMissing, QueryFailed
from ingestion.model.connections import CloudSqlConnection
from ingestion.model.macros import Interval
from ingestion.model.schema import FieldMode
from ingestion.sources.base import ConnectorContext
from ingestion.sources.postgres_connection import session
from ingestion.sources.postgres_relation import query_relation, table_relation
from ingestion_tests.sources.conftest import AT, execute

DAY = Interval(AT.date(), AT.date(), AT)


def test_keys_are_named_as_the_columns_are(postgres_source: CloudSqlConnection, context: ConnectorContext) -> None:
    """A key "A" beside a column "a" is not that column; of two names that differ in case one is changed."""
    execute(postgres_source, 'CREATE TABLE t (a int, "A" int NOT NULL, " b " text, PRIMARY KEY (" b ", "A"))')
    with session(postgres_source, context) as opened:
        relation = table_relation(opened, "t")
    assert [column.name for column in relation.columns] == ["a", "A_2", "b"]
    assert relation.keys == ("b", "A_2")
    assert [column.mode for column in relation.columns] == [FieldMode.NULLABLE, FieldMode.REQUIRED, FieldMode.REQUIRED]
    assert (relation.alias("A_2"), relation.column("b").type.label) == ("c1", "text")
    with pytest.raises(ObjectMissing, match="no column 'B'; it has a, A_2, b"):
        relation.alias("B")


def test_domains_are_what_they_are_based_on(postgres_source: CloudSqlConnection, context: ConnectorContext) -> None:
    execute(postgres_source, "CREATE DOMAIN money_of AS numeric(10, 2)", "CREATE DOMAIN price AS money_of")
    execute(postgres_source, "CREATE TABLE t (v price, gone int, l int[])", "ALTER TABLE t DROP COLUMN gone")
    with session(postgres_source, context) as opened:
        relation = table_relation(opened, "T")
    assert [column.type.label for column in relation.columns] == ["numeric(10,2)", "integer[]"]
    assert relation.keys == ()


def test_queries(postgres_source: CloudSqlConnection, context: ConnectorContext) -> None:
    with session(postgres_source, context) as opened:
        relation = query_relation(opened, "SELECT 1 AS a, '{{ds}}'::date AS b -- the day\n;", DAY)
        rows = opened.execute(f"SELECT c1::text FROM {relation.source}".encode()).fetchall()
        assert rows == [("2026-11-24",)]
        assert [column.name for column in relation.columns] == ["a", "b"]
        with pytest.raises(QueryFailed, match="must be a SELECT"):
            query_relation(opened, "SET TimeZone = 'UTC'", DAY)
