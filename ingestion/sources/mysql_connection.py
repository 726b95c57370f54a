"""Connections to MySQL and MariaDB that can only read: one snapshot, statements that can be stopped.

The client library sits between its caller and the server in C, so a statement is stopped from outside: the
server is told to kill it over a connection of its own, and when that does not help the socket is shut down.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from MySQLdb import _mysql
from MySQLdb.constants import FLAG

from ingestion.errors import ConnectionFailed, TlsFailed
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.cloud_sql import Endpoint
from ingestion.sources.mysql_errors import failure_of
from ingestion.sources.watching import Watching

CONNECT_SECONDS = 20.0
STATEMENT_SECONDS = 3600.0
PORT = 3306
_KILL_SECONDS = 1
_FETCH_ROWS = 5_000
_IDLE_SECONDS = 600
_GRACE_SECONDS = 60.0
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_OPTIONAL = ("prefer", "allow", "disable")
_VERIFIED = ("verify-ca", "verify-full")
# The converter of a field only says whether it has bytes or text: values always come as the server's bytes.
_CONVERTERS = {kind: [(FLAG.BINARY, bytes), (None, None)] for kind in range(256)}

# Texts that mean the same whatever the server's own settings are, all rows, and time to write them down.
_SETTINGS = (
    "time_zone = '+00:00'",
    "sql_select_limit = 18446744073709551615",
    f"net_write_timeout = {_IDLE_SECONDS}",
    f"net_read_timeout = {_IDLE_SECONDS}",
    "TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
)

Row = tuple[bytes | None, ...]


@dataclass(frozen=True)
class Field:
    """A column of a result as the server describes it: `kind` is its FIELD_TYPE, `length` in bytes."""

    name: str
    kind: int
    length: int
    decimals: int
    flags: int
    is_binary: bool
    is_nullable: bool


@dataclass(frozen=True)
class Login:
    """All that a session needs. A statement may take `statement_seconds`, a connection `connect_seconds`."""

    endpoint: Endpoint
    database: str
    user: str | None
    password: str | None = field(repr=False)
    sslmode: str
    ssl_root_cert: str | None
    statement_seconds: float
    connect_seconds: float

    def connect(self, seconds: float | None = None) -> Any:
        """The driver's connection. Raises its errors, and TlsFailed."""
        given = {
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "connect_timeout": max(1, round(self.connect_seconds if seconds is None else seconds)),
            "read_timeout": round(self.statement_seconds + _GRACE_SECONDS),
            "local_infile": 0,  # Or the server could ask for files of this machine.
            "conv": _CONVERTERS,
            **self._place(),
            **self._encryption(),
        }
        return _mysql.connection(**{name: value for name, value in given.items() if value is not None})

    def _place(self) -> dict[str, Any]:
        if self.endpoint.unix_socket is not None:
            return {"unix_socket": self.endpoint.unix_socket}
        # To the library, localhost is a unix socket.
        host = "127.0.0.1" if self.endpoint.host in ("localhost", None) else self.endpoint.host
        return {"host": host, "port": self.endpoint.port or PORT}

    def _encryption(self) -> dict[str, Any]:
        if self.sslmode == "disable" or self.endpoint.unix_socket is not None:
            return {"ssl_mode": "DISABLED"}
        if self.sslmode not in _VERIFIED:
            # To the library this is a wish: without TLS at the server it goes on without, see Session.
            return {"ssl_mode": "REQUIRED"}
        authorities = self.ssl_root_cert or ssl.get_default_verify_paths().cafile
        if authorities is None:
            raise TlsFailed(f"sslmode '{self.sslmode}' needs ssl_root_cert: this system has no list of authorities")
        return {"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": authorities}}


class Session:
    """A connection whose statements can be stopped by `watching`. What it raises is an ExecutionFailure."""

    def __init__(self, login: Login, watching: Watching) -> None:
        self._login, self._watching = login, watching
        self._was_killed = False
        try:
            self._connection = login.connect()
        except _mysql.MySQLError as error:
            raise login.endpoint.failure() or failure_of(error, login.password) from None
        self._thread_id = self._connection.thread_id()
        self._socket = socket.socket(fileno=os.dup(self._connection.fileno()))
        if login.endpoint.unix_socket is None:
            _keep_alive(self._socket)
        self.user = login.user or ""
        self.is_encrypted = False

    def begin(self) -> None:
        """Settings that make texts mean the same everywhere, and the snapshot. Raises TlsFailed without encryption."""
        with self._failures():
            self._connection.set_character_set("utf8mb4")
        (status,) = self.texts("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        self.is_encrypted = bool(status[1])
        is_asked = self._login.sslmode not in _OPTIONAL and self._login.endpoint.unix_socket is None
        if is_asked and not self.is_encrypted:
            raise TlsFailed(
                f"The database server does not encrypt connections, which sslmode '{self._login.sslmode}' asks for"
            )
        for setting in _SETTINGS:
            self.rows(f"SET SESSION {setting}")
        self.rows(f"SET SESSION {self._statement_limit()}")
        self.rows("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def _statement_limit(self) -> str:
        seconds = self._login.statement_seconds
        if "mariadb" in (self.text("SELECT VERSION()") or "").lower():
            return f"max_statement_time = {max(seconds, 0.001):.3f}"
        return f"max_execution_time = {max(1, round(seconds * 1000))}"

    def rows(self, statement: str) -> Sequence[Row]:
        """All rows of a statement; none when it has no result."""
        with self._at_work():
            self._connection.query(statement.encode())
            result = self._connection.store_result()
            return tuple(result.fetch_row(0, 0)) if result is not None else ()

    def texts(self, statement: str) -> Sequence[tuple[str | None, ...]]:
        """All rows of a statement whose columns are text."""
        return [tuple(None if cell is None else cell.decode() for cell in row) for row in self.rows(statement)]

    def text(self, statement: str) -> str | None:
        """The first column of the first row."""
        rows = self.texts(statement)
        return rows[0][0] if rows else None

    def fields(self, statement: str) -> Sequence[Field]:
        """The columns of a statement that reads."""
        with self._at_work():
            self._connection.query(statement.encode())
            result = self._connection.store_result()
            if result is None:
                return ()
            found = zip(result.describe(), result.field_flags(), result.converter, strict=True)
            return [
                Field(name, kind, length, decimals, flags, converter is bytes, bool(nullable))
                for (name, kind, _, length, _, decimals, nullable), flags, converter in found
            ]

    def stream(self, statement: str) -> Generator[Sequence[Row], None, None]:
        """The rows of a statement as they come, some thousands at a time."""
        with self._at_work():
            self._connection.query(statement.encode())
            result = self._connection.use_result()
            try:
                while rows := result.fetch_row(_FETCH_ROWS, 0):
                    yield rows
            except BaseException:
                self._cut()  # Letting go of a result fetches all rows that are still to come.
                raise

    def literal(self, text: str) -> str:
        """A text as SQL."""
        escaped: bytes = self._connection.escape_string(text)
        return f"'{escaped.decode()}'"

    def interrupt(self, is_urgent: bool) -> None:
        """Make the statement fail: by the server first, else by cutting the connection."""
        if not self._was_killed:
            self._was_killed = True
            self._kill()
        elif is_urgent:
            self._cut()

    def close(self) -> None:
        """End the connection, whatever it is doing."""
        if self._was_killed:
            self._cut()
        self._socket.close()
        self._connection.close()

    def _kill(self) -> None:
        try:
            other = self._login.connect(_KILL_SECONDS)
        except (_mysql.MySQLError, TlsFailed):
            self._cut()
            return
        try:
            other.query(f"KILL {self._thread_id}".encode())
        except _mysql.MySQLError:
            self._cut()  # It has gone already, or may not be killed: the server notices that nobody listens.
        finally:
            other.close()

    def _cut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # The other side was faster.

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._watching.interrupting(self.interrupt), self._failures():
            yield

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except _mysql.MySQLError as error:
            raise failure_of(error, self._login.password) from None
        except UnicodeError as error:
            raise ConnectionFailed(f"The database sent text that is not UTF-8: {error}") from error


def login_of(
    connection: CloudSqlConnection,
    context: ConnectorContext,
    endpoint: Endpoint,
    statement_seconds: float | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Login:
    """All that sessions need to reach the endpoint."""
    credentials = connection.credentials
    password = None
    if credentials is not None and credentials.password_secret is not None:
        password = context.resolve_secret(credentials.password_secret)
    return Login(
        endpoint=endpoint,
        database=connection.database,
        user=endpoint.user or (credentials.username if credentials else None),
        password=password,
        sslmode=connection.sslmode or "prefer",
        ssl_root_cert=connection.ssl_root_cert,
        statement_seconds=STATEMENT_SECONDS if statement_seconds is None else statement_seconds,
        connect_seconds=connect_seconds,
    )


@contextmanager
def session(login: Login, watching: Watching) -> Iterator[Session]:
    """A session in a read-only snapshot of this moment."""
    opened = Session(login, watching)
    try:
        opened.begin()
        yield opened
    finally:
        opened.close()


def _keep_alive(connected: socket.socket) -> None:
    """Notice a server that is gone without a word."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _KEEPALIVE.items():
        if hasattr(socket, name):  # Not on every system.
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
