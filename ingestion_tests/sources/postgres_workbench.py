"""A PostgreSQL database that each test finds empty, and connectors to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from ingestion.model.connections import CloudSqlConnection
from ingestion.model.extraction import DatabaseExtraction
from ingestion.sources.base import ConnectorContext, Extraction
from ingestion.sources.cloud_sql import Endpoint
from ingestion.sources.postgres import PostgresConnector
from ingestion.sources.postgres_connection import Login
from ingestion_tests.servers.postgres import PASSWORD_USER, SUPERUSER, PostgresServer

READER: dict[str, Any] = {"credentials": {"username": PASSWORD_USER, "password_secret": "env://READER_PASSWORD"}}
WRONG: dict[str, Any] = {"credentials": {"username": PASSWORD_USER, "password_secret": "env://WRONG_PASSWORD"}}
ENDLESS = "SELECT repeat('x', 1000) AS t FROM generate_series(1, 9999) i, generate_series(1, 9999) j"


class Database:
    """One database, reached as the superuser unless a connection says otherwise."""

    def __init__(self, server: PostgresServer, url: str, context: ConnectorContext, folder: Path) -> None:
        self.server = server
        self.url = url
        self.name = url.rsplit("/", 1)[1]
        self.context = context
        self._folder = folder
        self._extractions = 0

    def run(self, *statements: str) -> None:
        """Change the database, which a connector cannot do."""
        with psycopg.connect(self.url, autocommit=True, options="-c TimeZone=UTC") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def one(self, query: str) -> Any:
        """The one value a query answers."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def sessions(self) -> int:
        """How many sessions of connectors are open."""
        return int(
            self.one(
                "SELECT count(*) FROM pg_stat_activity "
                f"WHERE application_name = 'ingestion' AND datname = '{self.name}'"
            )
        )

    def cut(self) -> None:
        """End the sessions of connectors."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = 'ingestion' AND datname = '{self.name}'"
        )

    def connection(self, **changes: Any) -> CloudSqlConnection:
        """The database as a source."""
        given: dict[str, Any] = {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.name,
            "credentials": {"username": SUPERUSER},
            **changes,
        }
        return CloudSqlConnection.model_validate(given)

    def connector(self, part_bytes: int = 64 << 20, **changes: Any) -> PostgresConnector:
        """A connector to it."""
        return PostgresConnector(self.connection(**changes), self.context, part_bytes)

    def extract(
        self, connector: PostgresConnector | None = None, *, changes: dict[str, Any] | None = None, **params: Any
    ) -> tuple[Extraction, list[dict[str, Any]]]:
        """An extraction and its rows."""
        from ingestion_tests.sources.conftest import request_for  # Which has the fixtures of this module.

        self._extractions += 1
        request = request_for(DatabaseExtraction.model_validate(params), self._staging, **(changes or {}))
        result = (connector or self.connector()).extract(request)
        left = {path.name for path in self._staging.iterdir()}
        assert left == {file.name for file in (*result.files, *result.rejects)}
        return result, self._rows(file.name for file in result.files)

    def rejects(self, result: Extraction) -> list[dict[str, Any]]:
        """The rejects of the latest extraction."""
        return self._rows(file.name for file in result.rejects)

    @property
    def _staging(self) -> Path:
        return self._folder / f"staging-{self._extractions}"

    def _rows(self, names: Iterator[str] | Any) -> list[dict[str, Any]]:
        return [row for name in names for row in pq.read_table(self._staging / name).to_pylist()]


def login(connection: CloudSqlConnection, context: ConnectorContext, seconds: float | None = None) -> Login:
    """How a session on a source with a host is opened."""
    return Login(connection, context, Endpoint(host=connection.host, port=connection.port), seconds)


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of the database that the tests of the connector share."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def database(postgres: PostgresServer, postgres_url: str, context: ConnectorContext, tmp_path: Path) -> Database:
    """The shared database, empty."""
    made = Database(postgres, postgres_url, context, tmp_path)
    made.run(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' "
        "AND nspname <> 'information_schema' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP; END $$",
        "CREATE SCHEMA public",
        "GRANT ALL ON SCHEMA public TO public",
    )
    return made
