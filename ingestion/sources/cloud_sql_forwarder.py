"""A unix socket in a private folder that leads to a Cloud SQL instance, over TLS with certificates from Google.

It is an event loop in a thread of its own, which is there while the block of `forwarded` is and no longer: started
in the worker, never before a fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    ObjectMissing,
    SourceAuthenticationFailed,
    SourceNotSupported,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)
from ingestion.google_credentials import GoogleLogin, google_login, login_failure
from ingestion.model.connections import CloudSqlConnection, Engine
from ingestion.sources.background import BackgroundLoop
from ingestion.sources.base import ConnectorContext
from ingestion.sources.cloud_sql import instance_path

if TYPE_CHECKING:
    from google.cloud.sql.connector.client import CloudSQLClient
    from google.cloud.sql.connector.lazy import LazyRefreshCache

_log = logging.getLogger(__name__)
SERVER_PORT = 3307
"""Where the proxy of every Cloud SQL instance listens."""
_SOCKET_NAME = ".s.PGSQL.5432"
_CHUNK = 256 << 10
_SCOPES = (
    "https://www.googleapis.com/auth/sqlservice.admin",
    "https://www.googleapis.com/auth/sqlservice.login",
)
_DRIVERS = {Engine.POSTGRESQL: "PG8000", Engine.MYSQL: "PYMYSQL"}
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextmanager
def forwarded(
    connection: CloudSqlConnection, context: ConnectorContext, check: Callable[[], None], seconds: float
) -> Iterator[tuple[str, str | None, Callable[[], ExecutionFailure | None]]]:
    """(path of the socket, database user of a login by IAM, why the last connection failed), while in the block.

    Raises the failures of `endpoint_of`.
    """
    login = google_login(
        connection, context.resolve_secret, context.google_credentials, endpoint=connection.endpoint, scopes=_SCOPES
    )
    folder = Path(tempfile.mkdtemp(prefix="cloudsql-"))  # Only its owner may enter.
    try:
        loop = BackgroundLoop()
        forwarder = _Forwarder(connection, login, folder / _SOCKET_NAME, seconds)
        try:
            loop.run(forwarder.open(), check)
            yield str(folder / _SOCKET_NAME), forwarder.user, lambda: forwarder.failure
        finally:
            try:
                loop.run(forwarder.close())
            finally:
                loop.close()
    finally:
        shutil.rmtree(folder)


class _Forwarder:
    """All methods run in the loop. `failure` is why the latest connection to the instance was not made."""

    def __init__(self, connection: CloudSqlConnection, login: GoogleLogin, path: Path, seconds: float) -> None:
        self._connection, self._login, self._path, self._seconds = connection, login, path, seconds
        self._name = ":".join(instance_path(connection, login.project_id))
        self._client: CloudSQLClient | None = None
        self._cache: LazyRefreshCache | None = None
        self._server: asyncio.Server | None = None
        self._first: Stream | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.user: str | None = None
        self.failure: ExecutionFailure | None = None

    async def open(self) -> None:
        """Connect to the instance, and listen."""
        try:
            await self._open()
        except ExecutionFailure:
            raise
        except Exception as error:
            raise _failure(error, self._name) from error

    async def _open(self) -> None:
        from google.cloud.sql.connector.client import CloudSQLClient
        from google.cloud.sql.connector.connection_name import ConnectionName
        from google.cloud.sql.connector.lazy import LazyRefreshCache
        from google.cloud.sql.connector.utils import generate_keys

        await _refreshed(self._login)
        self._client = CloudSQLClient(self._connection.endpoint, None, self._login.credentials)
        self._cache = LazyRefreshCache(
            ConnectionName(*instance_path(self._connection, self._login.project_id)),
            self._client,
            asyncio.ensure_future(generate_keys()),
            bool(self._connection.iam_auth),
        )
        self._first = await self._dial()
        self._server = await asyncio.start_unix_server(self._accept, self._path, limit=_CHUNK)

    async def close(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        if self._first is not None:
            await _ended(self._first[1])
        if self._client is not None:
            await self._client.close()

    async def _dial(self) -> Stream:
        """A connection to the instance."""
        try:
            async with asyncio.timeout(self._seconds):
                stream = await self._connected()
            self.failure = None
            return stream
        except Exception as error:
            self.failure = _failure(error, self._name)
            raise self.failure from error

    async def _connected(self) -> Stream:
        from google.cloud.sql.connector.enums import DriverMapping, IPTypes
        from google.cloud.sql.connector.utils import format_database_user

        assert self._cache is not None
        found = await self._cache.connect_info()
        DriverMapping.validate_engine(_DRIVERS[self._connection.engine or Engine.POSTGRESQL], found.database_version)
        credentials = self._connection.credentials
        if self._connection.iam_auth and credentials is not None:
            self.user = format_database_user(found.database_version, credentials.username)
        addresses = found.get_preferred_ips(IPTypes[self._connection.ip_type or "PUBLIC"])
        secure = await found.create_ssl_context(bool(self._connection.iam_auth))
        # The certificate is the instance's own and names no address.
        return await asyncio.open_connection(addresses[0], SERVER_PORT, ssl=secure, limit=_CHUNK)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lead a driver's connection to the instance."""
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        ends = [writer]
        try:
            remote, self._first = self._first or await self._dial(), None
            ends.append(remote[1])
            await _piped((reader, writer), remote)
        except ExecutionFailure:
            _log.debug("the driver sees a closed connection, and asks why: %s", self.failure)
        except asyncio.CancelledError:
            # Not raised again, for nobody waits for this task but `close`.
            for end in ends:
                end.transport.abort()
        finally:
            for end in ends:
                await _ended(end)
            self._pipes.discard(task)


async def _piped(local: Stream, remote: Stream) -> None:
    """Carry bytes both ways until either side ends."""
    ways = [asyncio.ensure_future(_carry(local[0], remote[1])), asyncio.ensure_future(_carry(remote[0], local[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Send what is written, and close."""
    writer.close()
    with contextlib.suppress(OSError):  # The other side may have gone without a word.
        await writer.wait_closed()


async def _refreshed(login: GoogleLogin) -> None:
    """A token, fetched in a thread of its own, for google.auth only waits."""
    from google.auth.credentials import TokenState
    from google.auth.transport.requests import Request

    if login.is_anonymous:
        raise SourceAuthenticationFailed(
            "A Cloud SQL Admin API that is not Google's is only asked with a credentials_secret of the source"
        )
    if login.credentials.token_state != TokenState.FRESH:
        await asyncio.to_thread(login.credentials.refresh, Request())


def _failure(error: Exception, instance: str) -> ExecutionFailure:
    """What hindered a connection to the instance, as ours."""
    import aiohttp
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.sql.connector.exceptions import CloudSQLIPTypeError, IncompatibleDriverError

    what = f"the Cloud SQL instance '{instance}'"
    if isinstance(error, GoogleAuthError):
        return login_failure(what, error)
    if isinstance(error, aiohttp.ClientResponseError):
        return _refusal(error, what)
    if isinstance(error, TimeoutError):
        return TimedOut(f"{_capital(what)} did not answer in time; check that its {SERVER_PORT} port can be reached")
    if isinstance(error, ssl.SSLError):
        return TlsFailed(f"The encrypted connection to {what} could not be made: {error}")
    if isinstance(error, IncompatibleDriverError):
        return SourceNotSupported(f"{_capital(what)} is of another engine than the source says: {error}")
    if isinstance(error, CloudSQLIPTypeError):
        return ConnectionFailed(f"{_capital(what)} has no address of the source's ip_type: {error}")
    return ConnectionFailed(f"{_capital(what)} cannot be reached: {error}")


def _refusal(error: Any, what: str) -> ExecutionFailure:
    """An answer of the Cloud SQL Admin API that is none."""
    text = f"{error.status} {error.message}"
    if error.status == 404:
        return ObjectMissing(f"Google knows no such instance: {what} ({text}); check project_id, region and its name")
    if error.status == 403:
        return SourcePermissionDenied(
            f"The Google identity may not connect to {what} ({text}); it needs roles/cloudsql.client, and for iam_auth "
            f"roles/cloudsql.instanceUser"
        )
    if error.status == 401:
        return SourceAuthenticationFailed(f"Google refused the credentials for {what} ({text})")
    return ConnectionFailed(f"The Cloud SQL Admin API did not tell how to reach {what} ({text})")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
