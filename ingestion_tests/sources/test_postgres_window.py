"""Which rows of a relation are read."""

from __future__ import annotations

from datetime import date

import pytest

from ingestion.errors import QueryFailed
from ingestion.model.connections import CloudSqlConnection
from ingestion.model.execution import ExecutionParams
from ingestion.sources.base import ConnectorContext, Cursor
from ingestion.sources.postgres_connection import session
from ingestion.sources.postgres_relation import table_relation
from ingestion.sources.postgres_window import window_of
from ingestion_tests.sources.conftest import execute

ALL = ExecutionParams()


def read(
    source: CloudSqlConnection,
    context: ConnectorContext,
    key: str | None,
    cursor: Cursor | None,
    params: ExecutionParams,
) -> tuple[list[int], Cursor | None]:
    with session(source, context) as opened:
        relation = table_relation(opened, "t")
        window = window_of(opened, relation, key, cursor, params)
        statement = f"SELECT c0 FROM {relation.source} WHERE {window.conditions}{window.order}"
        return [row[0] for row in opened.execute(statement.encode()).fetchall()], window.cursor


def test_windows(postgres_source: CloudSqlConnection, context: ConnectorContext) -> None:
    execute(
        postgres_source,
        "CREATE TABLE t (id int, at date)",
        "INSERT INTO t VALUES (3, '9999-12-31'), (1, '2024-01-01'), (4, NULL), (5, 'infinity'), (6, '10000-01-01'), "
        "(2, '2024-01-02')",
    )
    rows, cursor = read(postgres_source, context, None, None, ALL)
    assert (sorted(rows), cursor) == ([1, 2, 3, 4, 5, 6], None)
    rows, cursor = read(postgres_source, context, "at", None, ALL)
    assert (sorted(rows), cursor) == ([1, 2, 3, 4, 5, 6], Cursor("at", "10000-01-01"))
    assert read(postgres_source, context, "id", Cursor("id", "5"), ALL) == ([5, 6], Cursor("id", "6"))
    assert read(postgres_source, context, "id", Cursor("id", "7"), ALL) == ([], Cursor("id", "7"))
    # The last day Python knows is not the last one of PostgreSQL.
    days = ExecutionParams(start_date=date(2024, 1, 2), end_date=date.max)
    assert read(postgres_source, context, "at", Cursor("at", "2030-01-01"), days) == ([2, 3], None)
    assert read(postgres_source, context, "at", None, ExecutionParams(end_date=date(2024, 1, 1))) == ([1], None)
    with pytest.raises(QueryFailed, match="'id' is integer"):
        read(postgres_source, context, "id", None, days)
