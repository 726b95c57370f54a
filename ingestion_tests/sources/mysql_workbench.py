"""A MariaDB database of a test's own, and connectors to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.model.connections import CloudSqlConnection
from ingestion.model.extraction import DatabaseExtraction
from ingestion.sources.base import ConnectorContext, Extraction
from ingestion.sources.cloud_sql import endpoint_of
from ingestion.sources.mysql import MysqlConnector
from ingestion.sources.mysql_connection import Session, login_of, session
from ingestion.sources.watching import Watching
from ingestion_tests.servers.mariadb import PASSWORD_USER, SUPERUSER, MariadbServer

READER: dict[str, Any] = {"credentials": {"username": PASSWORD_USER, "password_secret": "env://READER_PASSWORD"}}
WRONG: dict[str, Any] = {"credentials": {"username": PASSWORD_USER, "password_secret": "env://WRONG_PASSWORD"}}
ENDLESS = "SELECT REPEAT('x', 1000) AS t FROM seq_1_to_100000000"


class MysqlDatabase:
    """One database, reached as the superuser unless a connection says otherwise."""

    def __init__(self, server: MariadbServer, context: ConnectorContext, folder: Path) -> None:
        self.server = server
        self.name = server.create_database()
        self.context = context
        self._folder = folder
        self._extractions = 0

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Change the database, which a connector cannot do; the rows of the last statement."""
        return self.server.run(*statements, database=self.name)

    def sessions(self) -> list[int]:
        """The sessions of connectors that are open."""
        rows = self.run(
            "SELECT id FROM information_schema.processlist "
            f"WHERE db = '{self.name}' AND id <> CONNECTION_ID() AND command <> 'Killed'"
        )
        return [int(row[0]) for row in rows]

    def connection(self, **changes: Any) -> CloudSqlConnection:
        """The database as a source."""
        given: dict[str, Any] = {
            "engine": "MYSQL",
            "host": self.server.host,
            "port": self.server.port,
            "database": self.name,
            "credentials": {"username": SUPERUSER},
            **changes,
        }
        return CloudSqlConnection.model_validate(given)

    def connector(self, part_bytes: int = 64 << 20, **changes: Any) -> MysqlConnector:
        """A connector to it."""
        return MysqlConnector(self.connection(**changes), self.context, part_bytes)

    @contextmanager
    def session(self, seconds: float | None = None, **changes: Any) -> Iterator[Session]:
        """A session as connectors have them."""
        connection = self.connection(**changes)
        with (
            endpoint_of(connection, self.context) as endpoint,
            session(login_of(connection, self.context, endpoint, seconds), Watching(lambda: None)) as opened,
        ):
            yield opened

    def extract(
        self, connector: MysqlConnector | None = None, *, changes: dict[str, Any] | None = None, **params: Any
    ) -> tuple[Extraction, list[dict[str, Any]]]:
        """The extraction and its rows."""
        from ingestion_tests.sources.conftest import request_for

        self._extractions += 1
        request = request_for(DatabaseExtraction.model_validate(params), self.staging, **(changes or {}))
        result = (connector or self.connector()).extract(request)
        staged = {file.name for file in (*result.files, *result.rejects)}
        assert {path.name for path in self.staging.iterdir()} == staged
        return result, self._rows([file.name for file in result.files])

    def rejects(self, result: Extraction) -> list[dict[str, Any]]:
        """The rejected rows of the last extraction."""
        return self._rows([file.name for file in result.rejects])

    @property
    def staging(self) -> Path:
        """The folder of the last extraction."""
        return self._folder / f"staging-{self._extractions}"

    def _rows(self, names: list[str]) -> list[dict[str, Any]]:
        return [row for name in names for row in pq.read_table(self.staging / name).to_pylist()]


@pytest.fixture
def mysql(mariadb: MariadbServer, context: ConnectorContext, tmp_path: Path) -> Iterator[MysqlDatabase]:
    """An empty database."""
    made = MysqlDatabase(mariadb, context, tmp_path)
    yield made
    mariadb.drop_database(made.name)
