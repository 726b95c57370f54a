from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from ingestion.errors import ServiceUnavailable
from ingestion.store import engine
from ingestion.store.engine import Database, database_url
from ingestion_tests.servers.postgres import PostgresServer


@pytest.fixture
def database(bare_url: str) -> Iterator[Database]:
    opened = Database(bare_url)
    with opened.write() as connection:
        connection.execute(text("CREATE TABLE probe (x INTEGER PRIMARY KEY)"))
    yield opened
    opened.close()


def rows(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(text("SELECT x FROM probe ORDER BY x")).scalars())


@pytest.mark.parametrize(
    ("given", "driver", "rest"),
    [
        ("postgres://u:p@h:1/d?sslmode=require", "postgresql+psycopg", "://u:p@h:1/d?sslmode=require"),
        ("postgresql://u@h/d", "postgresql+psycopg", "://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg", "://u@h/d"),
        ("sqlite:////a/b.sqlite", "sqlite+pysqlite", ":////a/b.sqlite"),
    ],
)
def test_addresses_name_the_driver_in_use(given: str, driver: str, rest: str) -> None:
    assert database_url(given).render_as_string(hide_password=False) in (f"{driver}{rest}", f"{driver}:{rest}")


@pytest.mark.parametrize("url", ["mysql://u:hidden@h/d", "sqlite://", "sqlite:///:memory:", "duckdb:///x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="cannot hold the store; use a SQLite file") as caught:
        Database(url)
    assert "hidden" not in str(caught.value)


def test_a_transaction_is_stored_whole_or_not_at_all(database: Database) -> None:
    def stop_halfway() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO probe VALUES (1)"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_halfway()
    with database.write() as connection:
        connection.execute(text("INSERT INTO probe VALUES (2)"))
    assert rows(database) == [2]


def test_readers_do_not_wait_for_the_writer(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO probe VALUES (1)"))
        assert rows(database) == []
    assert rows(database) == [1]


def test_sqlite_is_set_up_for_many_processes(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with database.read() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        ]
    database.close()
    assert found == ["wal", 30_000, 1, 1]


def test_sqlite_takes_the_write_lock_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with database.write(), pytest.raises(ServiceUnavailable, match="does not answer") as caught, database.write():
        pass
    database.close()
    assert "locked" in str(caught.value.__cause__)


def test_a_lock_on_postgresql_is_not_waited_for_forever(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 1)
    url = postgres.create_database()
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE probe (x INTEGER PRIMARY KEY)"))
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE probe")
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            rows(database)
    assert rows(database) == []
    database.close()


def test_two_connections_may_switch_to_wal_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    holder = sqlite3.connect(path)
    holder.execute("CREATE TABLE probe (x)")
    holder.execute("BEGIN IMMEDIATE")
    database = Database(f"sqlite:///{path}")
    releasing = threading.Timer(0.2, holder.interrupt)
    found: list[int] = []
    reading = threading.Thread(target=lambda: found.extend([1, *rows(database)]))
    reading.start()
    releasing.start()
    releasing.join()
    assert found == []
    holder.rollback()
    reading.join(20)
    holder.close()
    database.close()
    assert found == [1]


def test_a_missing_server_is_unavailable(postgres: PostgresServer) -> None:
    database = Database(postgres.url().replace(f":{postgres.port}/", ":1/"))
    with pytest.raises(ServiceUnavailable, match=r"^The database does not answer$"), database.read():
        pass


@pytest.mark.parametrize("kind", ["folder", "other file"])
def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path, kind: str) -> None:
    if kind == "other file":
        (tmp_path / "x").write_bytes(b"not a database" * 1000)
    database = Database(f"sqlite:///{tmp_path if kind == 'folder' else tmp_path / 'x'}")
    with pytest.raises(ServiceUnavailable), database.read():
        pass
    database.close()


def stop_while_reading(server: PostgresServer, database: Database) -> None:
    with database.read() as connection:
        server.stop()
        connection.execute(text("SELECT 1"))


def test_a_restarted_server_is_found_again() -> None:
    with PostgresServer() as server:
        database = Database(server.url())
        with database.write() as connection:
            connection.execute(text("CREATE TABLE probe (x INTEGER PRIMARY KEY)"))
        server.stop()
        with pytest.raises(ServiceUnavailable):
            rows(database)
        server.start()
        assert rows(database) == []
        with pytest.raises(ServiceUnavailable):
            stop_while_reading(server, database)
        database.close()


def test_a_mistake_in_a_statement_is_not_called_unavailable(database: Database) -> None:
    for statement, expected in (("SELECT nothing", Exception), ("INSERT INTO probe VALUES (1), (1)", IntegrityError)):
        with pytest.raises(expected) as caught, database.write() as connection:
            connection.execute(text(statement))
        assert not isinstance(caught.value, ServiceUnavailable)


def test_messages_do_not_hold_values(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        connection.execute(text("INSERT INTO probe VALUES (:x), (:x)"), {"x": 271828})
    assert "271828" not in str(caught.value).split("[SQL", 1)[1]


def test_a_forked_process_opens_its_own_connections(bare_url: str) -> None:
    database = Database(bare_url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE probe (x INTEGER PRIMARY KEY)"))
    child = os.fork()
    if child == 0:
        with database.write() as connection:
            connection.execute(text("INSERT INTO probe VALUES (1)"))
        database.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    with database.write() as connection:
        connection.execute(text("INSERT INTO probe VALUES (2)"))
    assert (os.waitstatus_to_exitcode(status), rows(database)) == (0, [1, 2])
    database.close()


def test_a_value_too_large_for_an_index_is_not_called_unavailable(postgres: PostgresServer) -> None:
    database = Database(postgres.create_database())
    with database.write() as connection:
        connection.execute(text("CREATE TABLE probe (x TEXT UNIQUE)"))
    with pytest.raises(OperationalError, match="index row"), database.write() as connection:
        connection.execute(text("INSERT INTO probe VALUES (:x)"), {"x": os.urandom(10_000).hex()})
    database.close()
