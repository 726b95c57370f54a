from __future__ import annotations

import psycopg
import pytest

from ingestion_tests.servers import postgres as module
from ingestion_tests.servers.postgres import PASSWORD, PASSWORD_USER, PostgresMissing, PostgresServer, find_programs


def test_databases_are_separate(postgres: PostgresServer) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE t (x int)")
    with psycopg.connect(second) as connection:
        found = connection.execute("SELECT to_regclass('t')").fetchone()
    assert found == (None,)


def test_the_password_role_needs_its_password(postgres: PostgresServer) -> None:
    url = postgres.url(user=PASSWORD_USER)
    with psycopg.connect(url, password=PASSWORD) as connection:
        assert connection.info.user == PASSWORD_USER
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="wrong")


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "_INSTALL_PLACES", ("/nowhere/*/bin",))
    with pytest.raises(PostgresMissing, match=r"initdb.*install PostgreSQL"):
        find_programs()
