"""A pipeline's cursor as its users see and set it, in a DuckDB dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import duckdb

from ingestion.errors import PreconditionFailed
from ingestion.sources.base import Cursor
from ingestion.warehouses import bookkeeping
from ingestion.warehouses.base import CursorState, TargetTable


def read_state(connection: duckdb.DuckDBPyConnection, pipeline_id: str, target: TargetTable) -> CursorState:
    """The cursor, what it was before, and who set it. The file may be of an earlier version."""
    is_recent = bookkeeping.has_column(connection, "_ingestion", "cursors", "set_at")
    by, at = ("set_by", "set_at") if is_recent else ("NULL", "NULL")
    row = connection.execute(
        f"SELECT key, value, previous_value, execution_id, coalesce({by}, execution_id), {at} "
        'FROM _ingestion.cursors WHERE pipeline_id = ? AND lower("table") = lower(?)',
        [pipeline_id, target.table],
    ).fetchone()
    if row is None:
        return CursorState()
    key, value, previous, execution_id, set_by, set_at = row
    return CursorState(
        cursor=Cursor(key, value) if value is not None else None,
        previous_value=previous,
        set_by=set_by,
        set_at=set_at,
        execution_id=execution_id,
        version=_version(row),
    )


def set_cursor(
    connection: duckdb.DuckDBPyConnection,
    pipeline_id: str,
    target: TargetTable,
    cursor: Cursor | None,
    by: str,
    version: str,
) -> CursorState:
    """Set or reset the cursor inside the open transaction. Raises PreconditionFailed when it changed meanwhile."""
    bookkeeping.prepare(connection)
    before = read_state(connection, pipeline_id, target)
    if before.version != version:
        raise PreconditionFailed("the cursor was changed meanwhile; read it again before you set it")
    if before.cursor != cursor:
        bookkeeping.write_cursor(connection, pipeline_id, target, cursor, by)
    return read_state(connection, pipeline_id, target)


def _version(row: Sequence[Any]) -> str:
    return hashlib.sha256(repr([str(part) for part in row]).encode()).hexdigest()[:16]
