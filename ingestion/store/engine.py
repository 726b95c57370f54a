"""Connections to the store's database: SQLite or PostgreSQL, reading and writing, errors made typed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ingestion.errors import IngestionError, ServiceUnavailable

BUSY_SECONDS = 30
"""How long one writer waits for another before the database counts as unavailable."""

_CONNECT_SECONDS = 10
_WRITES = "ingestion_writes"
_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOTADB,
    }
)


class Database:
    """One database and its pool of connections. Nothing is opened before the first `read` or `write`."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a database that is neither a SQLite file nor PostgreSQL."""
        self.url = database_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else _postgresql_engine(self.url)
        self._writing = self.engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with _typed_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is stored when the block ends, nothing when it raises.

        On SQLite it is the only writer from its first statement on, so that what it read stays true.
        """
        with _typed_errors(), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self.engine.dispose()


def database_url(url: str) -> URL:
    """`url` with the driver this service uses. Raises ValueError for a database it does not."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    raise ValueError(
        f"{parsed.render_as_string(hide_password=True)!r} cannot hold the store; "
        "use a SQLite file (sqlite:////path/store.sqlite) or PostgreSQL (postgresql://user@host/database)"
    )


def sqlite_file(url: URL) -> Path:
    """The file of a SQLite address."""
    return Path(str(url.database))


def _postgresql_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=15,
        pool_timeout=BUSY_SECONDS,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "ingestion",
            "tcp_user_timeout": BUSY_SECONDS * 1000,
        },
        **_ENGINE_OPTIONS,
    )
    event.listen(engine, "connect", _prepare_postgresql)
    _refuse_inherited_connections(engine)
    return engine


def _prepare_postgresql(connection: Any, _record: object) -> None:
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute("SET timezone = 'UTC'")
    # A process that stops between two statements must not hold its rows forever.
    connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{2 * BUSY_SECONDS}s'")
    connection.autocommit = autocommit


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, max_overflow=15, **_ENGINE_OPTIONS)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    _refuse_inherited_connections(engine)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # The driver's own BEGIN comes too late; _begin_sqlite sends ours.
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and the writer do not block each other in WAL mode. The mode stays with the file.

    The one switch to it does not wait for other connections by itself, as all else does.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _refuse_inherited_connections(engine: Engine) -> None:
    """A forked process opens connections of its own: two processes on one would mix their traffic."""

    def remember(_connection: object, record: Any) -> None:
        record.info["pid"] = os.getpid()

    def compare(_connection: object, record: Any, proxy: Any) -> None:
        if record.info["pid"] != os.getpid():
            _inherited.append(record.dbapi_connection)
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DisconnectionError("the connection belongs to the parent process")

    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", compare)


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise ServiceUnavailable("The database has no free connection") from error
    except StatementError as error:
        if isinstance(error.orig, IngestionError):
            raise error.orig from None
        if isinstance(error, DBAPIError) and _is_unavailable(error):
            raise ServiceUnavailable("The database does not answer") from error
        raise


def _is_unavailable(error: DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code, the rest says more about it.
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_UNAVAILABLE
    if isinstance(cause, psycopg.errors.ProgramLimitExceeded):
        return False  # A value that is too large for an index does not get smaller by waiting.
    return error.connection_invalidated or isinstance(cause, psycopg.OperationalError)


# Kept on purpose: closing a connection of the parent's would end it for the parent too.
_inherited: list[object] = []

_to_json: Callable[[Any], str] = partial(dumps, allow_nan=False)
# Messages of database errors end in logs; the values of the statement do not belong there.
_ENGINE_OPTIONS: Mapping[str, Any] = {"hide_parameters": True, "json_serializer": _to_json}
