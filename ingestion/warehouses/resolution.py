"""Which staged rows are to be written: one per key for a merge, none that is already there for an append."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingestion.errors import SchemaMismatch
from ingestion.formats.deletion import deletion_test
from ingestion.formats.types import duckdb_type, quoted
from ingestion.model.schema import TableSchema
from ingestion.sources.base import Cursor
from ingestion.sql import column_list
from ingestion.warehouses.tables import row_number

VERDICTS = "temp.row_verdicts"
"""Staged rows that are not simply written: `row` (rowid) and `verdict`. Rows not in it are written."""

REPEATED = "REPEATED_KEY"
PRESENT = "ALREADY_PRESENT"
NULL_KEY = "NULL_KEY"
AMBIGUOUS_KEY = "AMBIGUOUS_KEY"
DELETED = "DELETED"
QUARANTINED = (NULL_KEY, AMBIGUOUS_KEY)
DEDUPLICATED = (REPEATED, PRESENT)
FILTERED = (DELETED,)


def no_verdicts(connection: duckdb.DuckDBPyConnection) -> None:
    """Every staged row is written."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_bare(VERDICTS)} (row BIGINT, verdict VARCHAR)")


def judge_merge(
    connection: duckdb.DuckDBPyConnection,
    staging: str,
    schema: TableSchema,
    key: Sequence[str],
    latest_by: str | None,
) -> None:
    """One staged row per key: the latest. Equal copies are repeats; latest rows that differ are ambiguous.

    Only keys that are null or repeat are looked at closely: usually there are none.
    """
    missing = [name for name in key if schema.get(name) is None]
    if missing or not key:
        raise SchemaMismatch(f"the merge key {', '.join(missing) or '(none)'} is not among the columns", key=list(key))
    number = row_number(schema)
    keys = ", ".join(f"c{index}" for index in range(len(key)))
    is_null = " OR ".join(f"s.{quoted(name)} IS NULL" for name in key)
    same_key = " AND ".join(f"s.{quoted(name)} = r.c{index}" for index, name in enumerate(key))
    order = f"s.{quoted(latest_by)} DESC NULLS LAST" if latest_by and schema.get(latest_by) else "true"
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {_bare(VERDICTS)} AS
        WITH repeated AS (
            SELECT {_numbered_columns(key)} FROM {staging} AS s GROUP BY {column_list(key, "s.")} HAVING count(*) > 1
        ), ranked AS (
            SELECT s.{number} AS row, rank() OVER (PARTITION BY {column_list(key, "s.")} ORDER BY {order}) AS age,
                   row_number() OVER (PARTITION BY {column_list(schema.names, "s.")} ORDER BY s.{number}) AS copy,
                   {_numbered_columns(key)}
            FROM {staging} AS s JOIN repeated AS r ON {same_key}
        ), counted AS (
            SELECT row, age, copy,
                   count(*) FILTER (age = 1 AND copy = 1) OVER (PARTITION BY {keys}) AS latest
            FROM ranked
        )
        SELECT row, CASE WHEN age = 1 AND latest > 1 THEN '{AMBIGUOUS_KEY}' ELSE '{REPEATED}' END AS verdict
        FROM counted WHERE NOT (age = 1 AND copy = 1 AND latest = 1)
        UNION ALL
        SELECT s.{number}, '{NULL_KEY}' FROM {staging} AS s WHERE {is_null}"""
    )


def judge_append(
    connection: duckdb.DuckDBPyConnection,
    staging: str,
    schema: TableSchema,
    target: str,
    target_schema: TableSchema,
    window: Cursor | None,
) -> None:
    """Mark staged rows that the target has already, as many copies as it has (a multiset difference)."""
    common = [name for name in schema.names if target_schema.get(name) is not None]
    if not common:
        no_verdicts(connection)
        return
    number = row_number(schema)
    bound, parameters = _bound(schema, target_schema, window)
    same = " AND ".join(f"s.c{index} IS NOT DISTINCT FROM t.c{index}" for index in range(len(common)))
    columns = column_list(common, "s.")
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {_bare(VERDICTS)} AS
        WITH present AS (
            SELECT {_numbered_columns(common)}, count(*) AS copies FROM {target} AS s WHERE {bound} GROUP BY {columns}
        ), numbered AS (
            SELECT s.{number} AS row, {_numbered_columns(common)},
                   row_number() OVER (PARTITION BY {columns} ORDER BY s.{number}) AS copy
            FROM {staging} AS s
        )
        SELECT s.row, '{PRESENT}' AS verdict FROM numbered AS s JOIN present AS t ON {same}
        WHERE s.copy <= t.copies""",
        parameters,
    )


def judge_deleted(connection: duckdb.DuckDBPyConnection, staging: str, schema: TableSchema, deleted_by: str) -> None:
    """Mark the rows that would be written but say of themselves that they are deleted."""
    column = schema.get(deleted_by)
    if column is None:
        raise SchemaMismatch(
            f"the column {deleted_by}, which marks deleted rows, is not among the columns {', '.join(schema.names)}",
            column=deleted_by,
        )
    number = row_number(schema)
    connection.execute(
        f"INSERT INTO {VERDICTS} SELECT s.{number}, '{DELETED}' FROM {staging} AS s "
        f"WHERE {deletion_test(column, 's.')} AND {is_written(schema)}"
    )


def judge_superseded(
    connection: duckdb.DuckDBPyConnection,
    staging: str,
    schema: TableSchema,
    target: str,
    target_schema: TableSchema,
    key: Sequence[str],
    latest_by: str | None,
) -> None:
    """Mark rows that would be written though the target has a later one with their key: replays are old rows."""
    if latest_by is None or schema.get(latest_by) is None or target_schema.get(latest_by) is None:
        return
    same_key = " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in key)
    connection.execute(
        f"INSERT INTO {VERDICTS} SELECT s.{row_number(schema)}, '{PRESENT}' FROM {staging} AS s "
        f"WHERE {is_written(schema)} AND EXISTS (SELECT 1 FROM {target} AS t WHERE {same_key} "
        f"AND t.{quoted(latest_by)} > s.{quoted(latest_by)})"
    )


def judge_unchanged(
    connection: duckdb.DuckDBPyConnection,
    staging: str,
    schema: TableSchema,
    target: str,
    target_schema: TableSchema,
    key: Sequence[str],
    is_current: str,
) -> None:
    """Mark rows that would be written and equal the current version that the target has of them.

    A column the target lacks has the value NULL there.
    """
    number = row_number(schema)
    same_key = " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in key)
    same = " AND ".join(
        f"s.{quoted(name)} IS NOT DISTINCT FROM t.{quoted(name)}"
        if target_schema.get(name) is not None
        else f"s.{quoted(name)} IS NULL"
        for name in schema.names
    )
    connection.execute(
        f"INSERT INTO {VERDICTS} SELECT s.{number}, '{PRESENT}' FROM {staging} AS s JOIN {target} AS t "
        f"ON {same_key} WHERE t.{quoted(is_current)} AND {same} AND {is_written(schema)}"
    )


def is_written(schema: TableSchema, also: Sequence[str] = ()) -> str:
    """SQL over a staging table `s`: whether its row is written, or has one of the verdicts in `also`."""
    kept = f" AND v.verdict NOT IN ({verdict_list(also)})" if also else ""
    return f"NOT EXISTS (SELECT 1 FROM {VERDICTS} AS v WHERE v.row = s.{row_number(schema)}{kept})"


def _bound(schema: TableSchema, target_schema: TableSchema, window: Cursor | None) -> tuple[str, list[str]]:
    there = target_schema.get(window.key) if window else None
    if window is None or there is None or schema.get(window.key) is None:
        return "true", []
    column = f"s.{quoted(there.name)}"
    # A value that does not fit the column (it was converted) bounds nothing.
    return f"coalesce({column} >= TRY_CAST(? AS {duckdb_type(there)}), true)", [window.value]


def _numbered_columns(names: Sequence[str]) -> str:
    """Columns of `s` as c0, c1...: whatever they are called, they cannot hide the names used here."""
    return ", ".join(f"s.{quoted(name)} AS c{index}" for index, name in enumerate(names))


def verdict_list(verdicts: Sequence[str]) -> str:
    """Verdicts as the inside of an SQL IN."""
    return ", ".join(f"'{verdict}'" for verdict in verdicts)


def _bare(name: str) -> str:
    return name.removeprefix("temp.")
