"""SQLite files as sources: tables and views, incremental by a column, keys from the schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ingestion.connectors import ConnectionFailed, CustomConnector, ObjectMissing, QueryFailed, ReadRequest, Rows


class Config(BaseModel):
    """`connection_details.config` of a source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="The database file, where the service's workers can read it.")


class Params(BaseModel):
    """`extraction_params.params` of a pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: tuple[str, ...] | None = Field(default=None, min_length=1, description="All columns, if unset.")


class SqliteConnector(CustomConnector[Config, Params]):
    """Reads one database file, which is opened read-only."""

    config_model = Config
    params_model = Params

    def check(self, timeout_seconds: float) -> str:
        """Open the file and count what can be read."""
        return f"{len(self.objects())} tables and views in {self.config.path}"

    def objects(self) -> Sequence[str]:
        """Tables and views by name."""
        with closing(self._open()) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
            return [name for (name,) in rows if not name.startswith("sqlite_")]

    def keys(self, object_name: str, params: Params) -> Sequence[str]:
        """The primary key's columns in their order in the key, unless some are not read."""
        with closing(self._open()) as connection:
            info = connection.execute(
                "SELECT pk, name FROM pragma_table_info(?) WHERE pk > 0", [object_name]
            ).fetchall()
        keys = [name for _, name in sorted(info)]
        return keys if params.columns is None or set(keys) <= set(params.columns) else ()

    def read(self, request: ReadRequest[Params]) -> Iterator[Rows]:
        """The rows, in batches of the request's size, from one consistent view of the file."""
        with closing(self._open()) as connection:
            self._require(connection, request.object_name)
            sql, bounds = _select(request)
            try:
                cursor = connection.execute(sql, bounds)
            except sqlite3.OperationalError as error:
                raise QueryFailed(f"'{request.object_name}' in {self.config.path}: {error}") from error
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(request.batch_size):
                yield [dict(zip(names, row, strict=True)) for row in rows]

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(f"{self.config.path.absolute().as_uri()}?mode=ro", uri=True)
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise ConnectionFailed(f"{self.config.path} cannot be read as an SQLite file: {error}") from error
        return connection

    def _require(self, connection: sqlite3.Connection, name: str) -> None:
        sql = "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?"
        if connection.execute(sql, [name]).fetchone() is None:
            raise ObjectMissing(f"There is no table or view '{name}' in {self.config.path}", object=name)


def _select(request: ReadRequest[Params]) -> tuple[str, list[str]]:
    """The query and its parameters. A value below the cursor does no harm, a lost one would."""
    wanted = request.params.columns
    columns = ", ".join(map(_quoted, wanted)) if wanted else "*"
    sql, bounds = f"SELECT {columns} FROM {_quoted(request.object_name)}", []
    if request.cursor_column is not None and request.cursor_value is not None:
        column = _quoted(request.cursor_column)
        sql += f" WHERE {column} >= CAST(? AS NUMERIC) OR {column} >= ? OR {column} IS NULL"
        bounds = [request.cursor_value, request.cursor_value]
    return sql, bounds


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
