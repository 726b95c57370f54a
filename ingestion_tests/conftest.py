"""Fixtures every part uses: a real PostgreSQL, and an empty store on each kind of database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from ingestion.processes.signals import hear_interrupts
from ingestion.store import Store
from ingestion.store.tables import definition_token, metadata
from ingestion_tests.servers.mariadb import MariadbServer
from ingestion_tests.servers.postgres import PostgresServer

pytest_plugins = ["ingestion_tests.servers.stack", "ingestion_tests.servers.bigquery"]

DATABASES = ("sqlite", "postgresql")


def pytest_configure() -> None:
    """Stop as usual, and let what the tests start stop as usual, where a shell runs them in the background.

    How long a made-up example takes says nothing on a machine that others use too.
    """
    hear_interrupts()
    settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("shared")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole session; make a database per test."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    """One MariaDB server for the whole session; make a database per test."""
    with MariadbServer() as server:
        yield server


@pytest.fixture(params=DATABASES)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without a schema: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=DATABASES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Callable[[str], str]) -> str:
    """The address of an empty store: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(migrated("sqlite").removeprefix("sqlite:///"), tmp_path / "store.sqlite")
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    url = migrated("postgresql")
    _empty(url)  # Making a database for each test takes longer than most tests.
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store: in SQLite, then in PostgreSQL."""
    with Store.open(store_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """For a kind of database, the address of one with the schema."""
    urls: dict[str, str] = {}

    def url_of(kind: str) -> str:
        if kind not in urls:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('migrated') / 'store.sqlite'}"
            else:
                server: PostgresServer = request.getfixturevalue("postgres")
                url = server.create_database("migrated")
            with Store.open(url) as store:
                store.migrate()
            urls[kind] = url
        return urls[kind]

    return url_of


def _empty(url: str) -> None:
    """Delete all rows of a store on PostgreSQL, but for the one that is always there."""
    with psycopg.connect(url) as connection:
        connection.execute("SET lock_timeout = '10s'")
        for table in reversed(metadata.sorted_tables):
            if table is not definition_token:
                connection.execute(f"DELETE FROM {table.name}".encode())
