"""What a dataset file knows about its loads: schema `_ingestion` in the file itself.

Being in the same file it becomes visible in the same commit as the rows it speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import duckdb

from ingestion import clock
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses.base import PublishRequest, PublishResult, TargetTable

_TABLES = (
    "CREATE SCHEMA IF NOT EXISTS _ingestion",
    "CREATE SCHEMA IF NOT EXISTS _staging",
    """CREATE TABLE IF NOT EXISTS _ingestion.loads (
        execution_id VARCHAR PRIMARY KEY, pipeline_id VARCHAR NOT NULL, "table" VARCHAR NOT NULL,
        disposition VARCHAR NOT NULL, extracted BIGINT NOT NULL, loaded BIGINT NOT NULL,
        quarantined BIGINT NOT NULL, deduplicated BIGINT NOT NULL, filtered BIGINT NOT NULL,
        target_rows BIGINT NOT NULL, schema JSON NOT NULL, details JSON NOT NULL,
        published_at TIMESTAMP WITH TIME ZONE NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS _ingestion.cursors (
        pipeline_id VARCHAR NOT NULL, "table" VARCHAR NOT NULL, key VARCHAR NOT NULL, value VARCHAR,
        previous_value VARCHAR, execution_id VARCHAR)""",
    """CREATE TABLE IF NOT EXISTS _ingestion.loaded_objects (
        pipeline_id VARCHAR NOT NULL, "table" VARCHAR NOT NULL, object VARCHAR NOT NULL,
        generation VARCHAR NOT NULL, size_bytes BIGINT NOT NULL, execution_id VARCHAR NOT NULL)""",
)
# Files of earlier versions: their cursors could not be reset, nor set by anybody but an execution.
_MIGRATIONS = (
    "ALTER TABLE _ingestion.cursors ALTER COLUMN value DROP NOT NULL",
    "ALTER TABLE _ingestion.cursors ALTER COLUMN execution_id DROP NOT NULL",
    "ALTER TABLE _ingestion.cursors ADD COLUMN set_by VARCHAR",
    "ALTER TABLE _ingestion.cursors ADD COLUMN set_at TIMESTAMP WITH TIME ZONE",
)
_RESULT_COLUMNS = "loaded, quarantined, deduplicated, filtered, extracted, target_rows, details"


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the bookkeeping tables where they are missing, and bring older ones up to date."""
    for statement in _TABLES:
        connection.execute(statement)
    if not has_column(connection, "_ingestion", "cursors", "set_at"):
        for statement in _MIGRATIONS:
            connection.execute(statement)


def is_prepared(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the file has all the bookkeeping tables; one made by hand has none yet."""
    found = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE schema_name = '_ingestion'").fetchone()
    return found is not None and found[0] >= len(_TABLES) - 2


def has_column(connection: duckdb.DuckDBPyConnection, schema: str, table: str, column: str) -> bool:
    """Whether a table of this file has the column."""
    found = connection.execute(
        "SELECT 1 FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = ? "
        "AND lower(table_name) = lower(?) AND column_name = ?",
        [schema, table, column],
    )
    return found.fetchone() is not None


def load_record(connection: duckdb.DuckDBPyConnection, execution_id: str) -> PublishResult | None:
    """What an execution published, if it did."""
    row = connection.execute(
        f"SELECT {_RESULT_COLUMNS} FROM _ingestion.loads WHERE execution_id = ?", [execution_id]
    ).fetchone()
    if row is None:
        return None
    loaded, quarantined, deduplicated, filtered, extracted, target_rows, details = row
    return PublishResult(
        loaded=loaded,
        quarantined=quarantined,
        deduplicated=deduplicated,
        filtered=filtered,
        extracted=extracted,
        target_rows=target_rows,
        details=json.loads(details),
    )


def last_execution(connection: duckdb.DuckDBPyConnection, pipeline_id: str, target: TargetTable) -> str | None:
    """The pipeline's latest load into the table."""
    row = connection.execute(
        'SELECT execution_id FROM _ingestion.loads WHERE pipeline_id = ? AND lower("table") = lower(?) '
        "ORDER BY published_at DESC, rowid DESC LIMIT 1",
        [pipeline_id, target.table],
    ).fetchone()
    return str(row[0]) if row else None


def loaded_objects(
    connection: duckdb.DuckDBPyConnection, pipeline_id: str, target: TargetTable
) -> frozenset[ObjectVersion]:
    """The files the pipeline has loaded into this table."""
    rows = connection.execute(
        "SELECT object, generation, size_bytes FROM _ingestion.loaded_objects "
        'WHERE pipeline_id = ? AND lower("table") = lower(?)',
        [pipeline_id, target.table],
    ).fetchall()
    return frozenset(ObjectVersion(*row) for row in rows)


def record_load(connection: duckdb.DuckDBPyConnection, request: PublishRequest, result: PublishResult) -> None:
    """Write the load record."""
    connection.execute(
        "INSERT INTO _ingestion.loads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            request.execution_id,
            request.pipeline_id,
            request.target.table,
            request.disposition.value,
            result.extracted,
            result.loaded,
            result.quarantined,
            result.deduplicated,
            result.filtered,
            result.target_rows,
            request.schema.model_dump_json(exclude_none=True),
            json.dumps(dict(result.details)),
            clock.now(),
        ],
    )


def stored_cursor(connection: duckdb.DuckDBPyConnection, pipeline_id: str, target: TargetTable) -> Cursor | None:
    """How far the pipeline has read for this table."""
    row = connection.execute(
        'SELECT key, value FROM _ingestion.cursors WHERE pipeline_id = ? AND lower("table") = lower(?)',
        [pipeline_id, target.table],
    ).fetchone()
    return Cursor(key=row[0], value=row[1]) if row and row[1] is not None else None


def move_cursor(connection: duckdb.DuckDBPyConnection, request: PublishRequest, cursor: Cursor) -> None:
    """Make `cursor` the pipeline's cursor for the table, keeping the value it replaces."""
    write_cursor(connection, request.pipeline_id, request.target, cursor, request.execution_id, request.execution_id)


def write_cursor(
    connection: duckdb.DuckDBPyConnection,
    pipeline_id: str,
    target: TargetTable,
    cursor: Cursor | None,
    set_by: str,
    execution_id: str | None = None,
) -> None:
    """Set the cursor, or reset it where it is None; the value it had before is kept beside it."""
    mine = [pipeline_id, target.table]
    before = connection.execute(
        'SELECT key, value FROM _ingestion.cursors WHERE pipeline_id = ? AND lower("table") = lower(?)', mine
    ).fetchone()
    connection.execute('DELETE FROM _ingestion.cursors WHERE pipeline_id = ? AND lower("table") = lower(?)', mine)
    key = cursor.key if cursor else before[0] if before else None
    if key is None:
        return  # There was none, and there is to be none.
    connection.execute(
        'INSERT INTO _ingestion.cursors (pipeline_id, "table", key, value, previous_value, execution_id, set_by, '
        "set_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *mine,
            key,
            cursor.value if cursor else None,
            before[1] if before else None,
            execution_id,
            set_by,
            clock.now(),
        ],
    )


def forget_objects(connection: duckdb.DuckDBPyConnection, target: TargetTable) -> None:
    """The table's content was replaced: no file loaded before is in it any more."""
    connection.execute('DELETE FROM _ingestion.loaded_objects WHERE lower("table") = lower(?)', [target.table])


def record_objects(
    connection: duckdb.DuckDBPyConnection, request: PublishRequest, objects: Iterable[ObjectVersion]
) -> None:
    """Remember the files that are in the table now; a name's new generation replaces its old one."""
    for item in objects:
        key = [request.pipeline_id, request.target.table, item.name]
        connection.execute(
            'DELETE FROM _ingestion.loaded_objects WHERE pipeline_id = ? AND lower("table") = lower(?) AND object = ?',
            key,
        )
        connection.execute(
            "INSERT INTO _ingestion.loaded_objects VALUES (?, ?, ?, ?, ?, ?)",
            [*key, item.generation, item.size_bytes, request.execution_id],
        )
