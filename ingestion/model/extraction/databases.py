"""`extraction_params` of databases."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ingestion.model.connections import CloudSqlConnection, ConnectionDetails, Engine
from ingestion.model.extraction.base import ExtractionParams, QueryText, as_columns
from ingestion.model.problems import Problem


class DatabaseExtraction(ExtractionParams):
    """`extraction_params` for databases: a table or a read-only query."""

    table: str | None = Field(default=None, min_length=1)
    query: QueryText | None = None
    incremental_key: str | None = Field(default=None, min_length=1)
    primary_key: str | tuple[str, ...] | None = None
    statement_timeout_seconds: int | None = Field(default=None, ge=1)

    @property
    def cursor_column(self) -> str | None:
        """The column an incremental pipeline follows."""
        return self.incremental_key

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The declared primary key."""
        return as_columns(self.primary_key)

    @property
    def may_know_keys(self) -> bool:
        """A table may have a key of its own."""
        return self.table is not None

    def problems(self, connection: ConnectionDetails, prefix: str) -> Sequence[Problem]:
        """What cannot work on that source."""
        problems = []
        if (self.table is None) == (self.query is None):
            given = "neither" if self.table is None else "both"
            problems.append(Problem(prefix, f"exactly one of table and query is needed, but {given} given"))
        if isinstance(connection, CloudSqlConnection) and connection.engine is Engine.MYSQL:
            message = f"this version cannot read engine {Engine.MYSQL} yet; it reads {Engine.POSTGRESQL}"
            problems.append(Problem("source_id", message))
        return problems
