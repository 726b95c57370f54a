"""How the good rows of one publish get into the target of a DuckDB dataset, by write disposition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from ingestion.errors import TargetFailed
from ingestion.formats.types import duckdb_type, quoted
from ingestion.model.load import HistoryColumns, WriteDisposition
from ingestion.model.schema import TableSchema
from ingestion.sql import column_list
from ingestion.warehouses import history, resolution, tables
from ingestion.warehouses.base import PublishRequest


class TargetWriter:
    """Judges the staged rows and writes them; `details` grows with what that did."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, request: PublishRequest, staging: str) -> None:
        self._connection = connection
        self._request = request
        self._staging = staging
        self._name = tables.target_name(request.target)
        self.has_target = tables.exists(connection, "main", request.target.table)
        self.rows_before = tables.count(connection, self._name) if self.has_target else 0
        self.details: dict[str, Any] = {}

    @property
    def _history(self) -> HistoryColumns:
        return self._request.history or HistoryColumns()

    def judge(self) -> None:
        """Give a verdict on every staged row that is not simply written."""
        request, connection = self._request, self._connection
        resolution.no_verdicts(connection)
        there = tables.schema_of(connection, self._name) if self.has_target else None
        if request.disposition is WriteDisposition.SCD2:
            history.check_columns(self._history, request.schema, there, request.target.table)
        if there is not None and not self._replaces:
            tables.changes(request.schema, there, request.target.table)  # Types before any comparison.
        if request.disposition.needs_key:
            resolution.judge_merge(connection, self._staging, request.schema, request.key, request.latest_by)
        if request.disposition.needs_key and request.deleted_by is not None:
            resolution.judge_deleted(connection, self._staging, request.schema, request.deleted_by)
        if there is None:
            return
        if request.replay is not None and request.disposition.needs_key:
            resolution.judge_superseded(
                connection, self._staging, request.schema, self._name, there, request.key, request.latest_by
            )
        if request.disposition is WriteDisposition.WRITE_APPEND and request.skip_present:
            resolution.judge_append(connection, self._staging, request.schema, self._name, there, request.window)
        if request.disposition is WriteDisposition.SCD2:
            current = self._history.is_current
            resolution.judge_unchanged(
                connection, self._staging, request.schema, self._name, there, request.key, current
            )

    @property
    def _replaces(self) -> bool:
        return self._request.disposition is WriteDisposition.WRITE_TRUNCATE

    def write(self, staged: int) -> int:
        """Write the rows without a verdict; how many."""
        if not self._replaces and staged == 0 and not (self._request.close_absent and self.has_target):
            return 0
        if self._replaces or not self.has_target:
            if not self._replaces and self._request.extracted == 0:
                return 0
            return self._make()
        self._change_columns()
        return self._writers[self._request.disposition](self)

    def _make(self) -> int:
        """Write the target anew, whatever its schema was."""
        if self.has_target:
            self._connection.execute(f"DROP TABLE {self._name}")
        fields = list(self._request.schema.fields)
        if self._request.disposition is WriteDisposition.SCD2:
            fields += history.history_fields(self._history)
        columns = ", ".join(f"{quoted(field.name)} {duckdb_type(field)}" for field in fields)
        self._connection.execute(f"CREATE TABLE {self._name} ({columns})")
        self.has_target = True
        if self._request.disposition is WriteDisposition.SCD2:
            return self._checked(0, self._versions().add())
        return self._checked(0, self._insert())

    def _change_columns(self) -> None:
        request = self._request
        needed = tables.changes(request.schema, tables.schema_of(self._connection, self._name), request.target.table)
        tables.change(self._connection, self._name, needed)
        tables.relax(self._connection, request.target, request.schema)
        if needed.added:
            self.details["columns_added"] = [field.name for field in needed.added]
        if needed.widened:
            self.details["columns_widened"] = [field.name for field in needed.widened]

    def _append(self) -> int:
        return self._checked(self.rows_before, self._insert())

    def _fill(self) -> int:
        if self.rows_before > 0:
            target = self._request.target
            raise TargetFailed(
                f"WRITE_EMPTY needs an empty table, but {target.dataset}.{target.table} has {self.rows_before} rows; "
                "empty it, or choose another load_params.write_disposition",
                rows=self.rows_before,
            )
        return self._append()

    def _merge(self) -> int:
        schema = self._request.schema
        updated = self._delete(resolution.is_written(schema))
        deleted = self._delete(self._has_verdict(resolution.DELETED))
        self.details |= {"updated": updated, "deleted": deleted}
        return self._checked(self.rows_before - updated - deleted, self._insert())

    def _keep_history(self) -> int:
        versions = self._versions()
        unchanged = tables.count(self._connection, f"{resolution.VERDICTS} WHERE verdict = '{resolution.PRESENT}'")
        self.details |= {**versions.close(), "unchanged": unchanged}
        return self._checked(self.rows_before, versions.add())

    _writers: Mapping[WriteDisposition, Callable[[TargetWriter], int]] = {
        WriteDisposition.WRITE_APPEND: _append,
        WriteDisposition.WRITE_EMPTY: _fill,
        WriteDisposition.MERGE: _merge,
        WriteDisposition.SCD2: _keep_history,
    }

    def _versions(self) -> history.HistoryWriter:
        return history.HistoryWriter(self._connection, self._request, self._history, self._name, self._staging)

    def _has_verdict(self, verdict: str) -> str:
        number = tables.row_number(self._request.schema)
        return f"EXISTS (SELECT 1 FROM {resolution.VERDICTS} AS v WHERE v.row = s.{number} AND v.verdict = '{verdict}')"

    def _delete(self, test: str) -> int:
        same_key = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in self._request.key)
        return tables.number(
            self._connection,
            f"DELETE FROM {self._name} AS t USING (SELECT {column_list(self._request.key)} "
            f"FROM {self._staging} AS s WHERE {test}) AS s WHERE {same_key}",
        )

    def _insert(self) -> int:
        schema = self._request.schema
        names = column_list(schema.names)
        return tables.number(
            self._connection,
            f"INSERT INTO {self._name} ({names}) SELECT {names} FROM {self._staging} AS s "
            f"WHERE {resolution.is_written(schema)} ORDER BY {self._order(schema)}",
        )

    def _order(self, schema: TableSchema) -> str:
        """Rows with like values next to each other: DuckDB then skips row groups as BigQuery skips blocks."""
        clustered = [name for name in self._request.layout.clustering if schema.get(name) is not None]
        return column_list([*clustered], "s.") + (", " if clustered else "") + f"s.{tables.row_number(schema)}"

    def _checked(self, before: int, added: int) -> int:
        found = tables.count(self._connection, self._name)
        if found != before + added:
            raise TargetFailed(f"{self._name} has {found} rows after the load, {before + added} were expected")
        return added
