"""The table beside a target that holds its rejected rows, in a DuckDB dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from ingestion import clock
from ingestion.formats.types import literal, quoted
from ingestion.model.pipeline import QUARANTINE_SUFFIX
from ingestion.model.quarantine import QuarantineRecord, QuarantineSelection, QuarantineStatus
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.sql import column_list
from ingestion.warehouses import tables
from ingestion.warehouses.base import QuarantinePage, TargetTable
from ingestion.warehouses.bookkeeping import has_column

_OWN_COLUMNS = {
    "execution_id": "VARCHAR",
    "pipeline_id": "VARCHAR",
    "quarantined_at": "TIMESTAMP WITH TIME ZONE",
    "status": "VARCHAR",
    "record_id": "VARCHAR",
    "decided_by": "VARCHAR",
    "decided_at": "TIMESTAMP WITH TIME ZONE",
}
_SHOWN = (*REJECT_COLUMNS, *_OWN_COLUMNS)
_EXPORTED = ("record_id", "object", "stage", "error_code", "raw_row", "raw_columns")
_REASON = ("stage", "error_code", "column_name", "expected", "got")


def table_name(target: TargetTable) -> str:
    """The quoted name of the table that holds the target's bad rows."""
    return f"main.{quoted(target.table + QUARANTINE_SUFFIX)}"


def exists(connection: duckdb.DuckDBPyConnection, target: TargetTable) -> bool:
    """Whether any row of the target was ever quarantined."""
    return tables.exists(connection, "main", target.table + QUARANTINE_SUFFIX)


def record_number(ordinal: str) -> str:
    """SQL for the part of a record's id that follows its execution, from a counter: nine digits."""
    return f"printf('%09d', {ordinal})"


def prepare(connection: duckdb.DuckDBPyConnection, target: TargetTable) -> None:
    """Make the table where it is missing; one of an earlier version gets the columns it lacks, and its rows ids."""
    table = table_name(target)
    columns = {**REJECT_COLUMNS, **_OWN_COLUMNS}
    listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed})")
    if is_current(connection, target):
        return
    for name, kind in columns.items():
        connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}")
    number = record_number("row_number() OVER (PARTITION BY execution_id ORDER BY rowid)")
    connection.execute(
        f"UPDATE {table} SET record_id = numbered.id "
        f"FROM (SELECT rowid AS place, execution_id || '-' || {number} AS id FROM {table}) AS numbered "
        f"WHERE {table}.rowid = numbered.place AND record_id IS NULL"
    )


def is_current(connection: duckdb.DuckDBPyConnection, target: TargetTable) -> bool:
    """Whether the table has every column, the last one this version added included."""
    name = target.table + QUARANTINE_SUFFIX
    return all(has_column(connection, "main", name, column) for column in ("raw_columns", "record_id", "decided_at"))


def condition(selection: QuarantineSelection) -> tuple[str, list[Any]]:
    """The selection as an SQL condition and its parameters."""
    tests, parameters = ["pipeline_id = ?"], [selection.pipeline_id]
    exact = {"execution_id": selection.execution_id, "error_code": selection.error_code, "status": selection.status}
    for name, value in exact.items():
        if value is not None:
            tests.append(f"{name} = ?")
            parameters.append(str(value))
    if selection.record_ids is not None:
        listed = ", ".join(literal(record_id) for record_id in selection.record_ids)
        tests.append(f"record_id IN ({listed})" if listed else "false")
    return " AND ".join(tests), parameters


def count(connection: duckdb.DuckDBPyConnection, target: TargetTable, selection: QuarantineSelection) -> int:
    """How many records are selected."""
    where, parameters = condition(selection)
    return tables.number(connection, f"SELECT count(*) FROM {table_name(target)} WHERE {where}", parameters)


def page(
    connection: duckdb.DuckDBPyConnection,
    target: TargetTable,
    selection: QuarantineSelection,
    offset: int,
    limit: int,
) -> QuarantinePage:
    """Some of the selected records, the latest first."""
    where, parameters = condition(selection)
    rows = connection.execute(
        f"SELECT {column_list(_SHOWN)} FROM {table_name(target)} WHERE {where} "
        "ORDER BY quarantined_at DESC, record_id LIMIT ? OFFSET ?",
        [*parameters, limit, offset],
    ).fetchall()
    return QuarantinePage([_record(row) for row in rows], count(connection, target, selection))


def _record(row: Sequence[Any]) -> QuarantineRecord:
    values = dict(zip(_SHOWN, row, strict=True))
    return QuarantineRecord(**{**values, "status": QuarantineStatus(values["status"])})


def export(
    connection: duckdb.DuckDBPyConnection, target: TargetTable, selection: QuarantineSelection, path: Path
) -> int:
    """Write what a replay needs of the selected records to a Parquet file, by record id."""
    where, parameters = condition(selection)
    if count(connection, target, selection) == 0:
        return 0
    return tables.number(
        connection,
        f"COPY (SELECT {column_list(_EXPORTED)} FROM {table_name(target)} WHERE {where} ORDER BY record_id) "
        f"TO {literal(str(path))} (FORMAT parquet)",
        parameters,
    )


def discard(connection: duckdb.DuckDBPyConnection, target: TargetTable, selection: QuarantineSelection, by: str) -> int:
    """Give up the OPEN ones of the selected records."""
    return _decide(connection, target, selection.only_open(), QuarantineStatus.DISCARDED, by)


def _decide(
    connection: duckdb.DuckDBPyConnection,
    target: TargetTable,
    selection: QuarantineSelection,
    status: QuarantineStatus,
    by: str,
    unless: str = "false",
) -> int:
    where, parameters = condition(selection)
    return tables.number(
        connection,
        f"UPDATE {table_name(target)} SET status = ?, decided_by = ?, decided_at = ? WHERE {where} AND NOT ({unless})",
        [status.value, by, clock.now(), *parameters],
    )


def settle_replay(
    connection: duckdb.DuckDBPyConnection,
    target: TargetTable,
    selection: QuarantineSelection,
    again: str,
    execution_id: str,
) -> int:
    """Mark the selected records REPLAYED but for those in `again`, which get their new reason; how many stay open.

    `again` is a relation with the columns of reject files in which `position` is the record's id.
    """
    _decide(
        connection,
        target,
        selection.only_open(),
        QuarantineStatus.REPLAYED,
        execution_id,
        unless=f"record_id IN (SELECT position FROM {again})",
    )
    reasons = ", ".join(f"{name} = again.new_{name}" for name in _REASON)
    renamed = ", ".join(f"{name} AS new_{name}" for name in _REASON)
    where, parameters = condition(selection.only_open())
    return tables.number(
        connection,
        f"UPDATE {table_name(target)} SET {reasons} "
        f"FROM (SELECT position AS again_id, {renamed} FROM {again}) AS again WHERE record_id = again_id AND {where}",
        parameters,
    )
