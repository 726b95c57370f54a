"""SCD2: every version of a row, each with the time it was valid, in a DuckDB dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.formats.types import duckdb_type, quoted
from ingestion.model.load import HistoryColumns
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sql import column_list
from ingestion.warehouses import resolution, tables
from ingestion.warehouses.base import PublishRequest


def history_fields(columns: HistoryColumns) -> Sequence[SchemaField]:
    """The columns that SCD2 adds to the rows' own."""
    return (
        SchemaField(name=columns.valid_from, type=FieldType.TIMESTAMP),
        SchemaField(name=columns.valid_to, type=FieldType.TIMESTAMP),
        SchemaField(name=columns.is_current, type=FieldType.BOOLEAN),
    )


def check_columns(columns: HistoryColumns, rows: TableSchema, target: TableSchema | None, table: str) -> None:
    """Raises SchemaMismatch when the rows have such columns themselves, or the target lacks them."""
    taken = [name for name in columns.names if rows.get(name) is not None]
    if taken:
        raise SchemaMismatch(
            f"the rows have columns named {', '.join(taken)}, which SCD2 adds itself; name its columns by "
            "load_params.history_columns, or rename the rows' by transformation_params.column_mappings",
            columns=taken,
        )
    if target is None:
        return
    for field in history_fields(columns):
        there = target.get(field.name)
        if there is None or duckdb_type(there) != duckdb_type(field):
            raise SchemaMismatch(
                f"the table {table} has no column {field.name} of type {field.type.value}, so it holds no history; "
                "SCD2 begins with a table of its own: choose another target_table or name load_params.history_columns",
                column=field.name,
            )


@dataclass(frozen=True)
class HistoryWriter:
    """Closes versions and adds new ones; the verdicts on the staged rows have been given."""

    connection: duckdb.DuckDBPyConnection
    request: PublishRequest
    columns: HistoryColumns
    target: str
    staging: str

    def close(self) -> Mapping[str, int]:
        """End the versions that have a successor, are deleted, or were not read where that means deleted."""
        at = self.instant()
        schema = self.request.schema
        written = resolution.is_written(schema)
        replaced = self._end(at, f"EXISTS (SELECT 1 FROM {self.staging} AS s WHERE {self._same_key()} AND {written})")
        deleted = self._end(at, f"EXISTS ({self._with_verdict(resolution.DELETED)})")
        absent = 0
        if self.request.close_absent:
            absent = self._end(at, f"NOT EXISTS (SELECT 1 FROM {self.staging} AS s WHERE {self._same_key()})")
        return {"closed": replaced + deleted + absent, "updated": replaced, "deleted": deleted + absent}

    def add(self) -> int:
        """The staged rows as current versions; how many."""
        names, schema = column_list(self.request.schema.names), self.request.schema
        return tables.number(
            self.connection,
            f"INSERT INTO {self.target} ({names}, {column_list(self.columns.names)}) "
            f"SELECT {names}, ?, NULL, true FROM {self.staging} AS s WHERE {resolution.is_written(schema)} "
            f"ORDER BY s.{tables.row_number(schema)}",
            [self.instant()],
        )

    def instant(self) -> datetime:
        """When the new versions begin: as asked, but never before a version that is there (clocks may differ)."""
        latest = self.connection.execute(
            f"SELECT max(greatest({quoted(self.columns.valid_from)}, {quoted(self.columns.valid_to)})) "
            f"FROM {self.target}"
        ).fetchone()
        asked = self.request.as_of
        if asked is None:
            raise TargetFailed("a history needs the instant at which its versions begin")
        there: Any = latest[0] if latest else None
        return max(asked, there) if there is not None else asked

    def _end(self, at: datetime, test: str) -> int:
        until, current = quoted(self.columns.valid_to), quoted(self.columns.is_current)
        return tables.number(
            self.connection,
            f"UPDATE {self.target} AS t SET {until} = ?, {current} = false WHERE t.{current} AND {test}",
            [at],
        )

    def _same_key(self) -> str:
        return " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in self.request.key)

    def _with_verdict(self, verdict: str) -> str:
        number = tables.row_number(self.request.schema)
        return (
            f"SELECT 1 FROM {self.staging} AS s JOIN {resolution.VERDICTS} AS v ON v.row = s.{number} "
            f"WHERE v.verdict = '{verdict}' AND {self._same_key()}"
        )
