"""The files of an SFTP server as a FileStore."""

from __future__ import annotations

import asyncio
import posixpath
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from ingestion.errors import ConnectionFailed, ExecutionFailure, FileMissing, SourceChanged, TimedOut
from ingestion.model.connections import SftpConnection
from ingestion.sources.background import BackgroundLoop
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks, reach_host
from ingestion.sources.file_store import Tick, never_stop
from ingestion.sources.sftp_ahead import SMALL_BYTES, ReadAhead
from ingestion.sources.sftp_errors import sftp_errors
from ingestion.sources.sftp_listing import list_files, version_of
from ingestion.sources.sftp_reading import STALL_SECONDS, RemoteFile, begin, states_of
from ingestion.sources.sftp_session import Login, ShownKeys, address_of, login_of, open_connection

if TYPE_CHECKING:
    import asyncssh

Result = TypeVar("Result")

_CONNECT_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each new attempt; after the last there is none. A byte of progress starts the row again."""
_WAIT_STEP_SECONDS = 0.25
_COARSE_CLOCK_SECONDS = 2.0
"""Times of change are whole seconds: within that time a second change may leave no trace."""


class SftpStore:
    """One server and login, connected at first use, and again after a connection that broke."""

    def __init__(self, connection: SftpConnection, resolve_secret: Callable[[str], str]) -> None:
        self._details = connection
        self._resolve_secret = resolve_secret
        host, port = address_of(connection)
        self._where = f"{host}:{port}"
        self._root = connection.remote_path or "."
        self._loop: BackgroundLoop | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._ahead: ReadAhead | None = None

    def reach(self, checks: Checks) -> None:
        """Resolve, connect, verify the host key and log in."""
        host, port = address_of(self._details)
        reach_host(checks, host, port)
        shown = ShownKeys()
        try:
            self._connect(checks.left, never_stop, shown)
        except ExecutionFailure as error:
            if shown.accepted:
                checks.note("host_key", self._accepted(shown))
            with checks.step("authentication" if shown.accepted else "host_key"):
                raise error
        checks.note("host_key", self._accepted(shown))
        checks.note("authentication", f"logged in as {self._details.username}")

    def objects(self, pattern: str, timeout_seconds: float, tick: Tick = never_stop) -> list[ObjectVersion]:
        """The files below `remote_path` that match. Raises FileMissing when there is no such folder."""
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise FileMissing(
                f"The file pattern '{pattern}' has to lie below remote_path ('{self._root}'), "
                f"without a leading '/' and without '..'"
            )
        deadline = time.monotonic() + timeout_seconds

        def listing() -> list[ObjectVersion]:
            left = max(deadline - time.monotonic(), _WAIT_STEP_SECONDS)
            sftp = self._session(left, tick)
            work = list_files(sftp, self._root, pattern, self._where)
            return self._run(work, f"the list of files on {self._where}", tick, left)

        return self._persistently(listing, tick, deadline)

    def expect(self, versions: Sequence[ObjectVersion]) -> None:
        """Read the small ones of `versions` ahead: they will be fetched, in this order."""
        self._ahead = ReadAhead(versions, self._path)

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        """Download the file; it must be the listed version before and after. A broken download is taken up again."""
        end = version.size_bytes if limit is None else min(limit, version.size_bytes)
        with path.open("wb") as out:
            if limit is not None or not self._copied(version, out, tick):
                self._persistently(lambda: self._download(version, out, end, tick), tick, progress=out.tell)
        if limit is None:
            self._settle(version, tick)

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        """Open the file and read one byte."""
        deadline = time.monotonic() + timeout_seconds
        sftp = self._session(timeout_seconds, never_stop)
        left = max(deadline - time.monotonic(), _WAIT_STEP_SECONDS)
        self._run(_probe(sftp, self._path(version.name)), self._called(version.name), never_stop, left)

    def close(self) -> None:
        """Disconnect and end the thread."""
        if self._loop is not None:
            self._disconnect()
            self._loop.close()
            self._loop = None

    def _copied(self, version: ObjectVersion, out: BinaryIO, tick: Tick) -> bool:
        """Whether the file had been read ahead."""
        if self._ahead is None or self._sftp is None or version.size_bytes > SMALL_BYTES:
            return False
        content = self._run(self._ahead.take(self._sftp, version), self._called(version.name), tick)
        if content is None:
            return False
        out.write(content)
        tick()
        return True

    def _download(self, version: ObjectVersion, out: BinaryIO, end: int, tick: Tick) -> None:
        """Go on from where `out` ends."""
        what = self._called(version.name)
        sftp = self._session(_CONNECT_SECONDS, tick)
        try:
            remote = self._run(RemoteFile.open(sftp, self._path(version.name), version.name), what, tick)
            try:
                self._require(version, self._run(begin(remote, out.tell(), end), what, tick))
                while blocks := self._run(remote.next(), what, tick):
                    for block in blocks:
                        out.write(block)
                    tick()
                self._require(version, *self._run(states_of(remote, sftp, self._path(version.name)), what, tick))
            finally:
                self._run(_closed(remote), what)
        except FileMissing as error:
            raise SourceChanged(f"{what} was deleted after it was listed", object=version.name) from error

    def _settle(self, version: ObjectVersion, tick: Tick) -> None:
        """Look again at a file that was changed just now, when a further change would show."""
        changed_at = int(version.generation.partition("-")[0])
        age = time.time() - changed_at
        if not 0 <= age < _COARSE_CLOCK_SECONDS:
            return
        self._pause(_COARSE_CLOCK_SECONDS - age, tick)

        def look() -> asyncssh.SFTPAttrs:
            sftp = self._session(_CONNECT_SECONDS, tick)
            return self._run(sftp.stat(self._path(version.name)), self._called(version.name), tick, STALL_SECONDS)

        try:
            self._require(version, self._persistently(look, tick))
        except FileMissing as error:
            raise self._changed(version.name) from error

    def _require(self, version: ObjectVersion, *states: asyncssh.SFTPAttrs) -> None:
        if any(version_of(version.name, state) != version for state in states):
            raise self._changed(version.name)

    def _changed(self, name: str) -> SourceChanged:
        return SourceChanged(
            f"{self._called(name)} was replaced, or is still being written: its size or time of change is not what "
            f"was listed. Read it when it is complete; writers should upload under another name and rename at the end",
            object=name,
        )

    def _persistently(
        self,
        attempt: Callable[[], Result],
        tick: Tick,
        deadline: float | None = None,
        progress: Callable[[], int] = lambda: 0,
    ) -> Result:
        """The attempt's result, with a new connection and a longer pause after each that broke without progress."""
        failures = 0
        while True:
            reached = progress()
            try:
                return attempt()
            except (ConnectionFailed, TimedOut) as error:
                failures = 0 if progress() > reached else failures
                self._disconnect()
                if failures == len(_PAUSES) or (deadline is not None and time.monotonic() >= deadline):
                    at = f" (byte {progress()} was reached)" if progress() else ""
                    raise type(error)(f"{error.message}; attempts without progress: {failures + 1}{at}") from error
                self._pause(_PAUSES[failures], tick)
                failures += 1

    @staticmethod
    def _pause(seconds: float, tick: Tick) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            tick()
            time.sleep(min(left, _WAIT_STEP_SECONDS))

    def _session(self, timeout_seconds: float, tick: Tick) -> asyncssh.SFTPClient:
        """The open SFTP session, or a new one."""
        if self._connection is None or self._connection.is_closed():
            self._connect(timeout_seconds, tick, ShownKeys())
        if self._sftp is None:
            assert self._connection is not None
            work = _started(self._connection)
            self._sftp = self._run(work, f"The SFTP server at {self._where}", tick, timeout_seconds)
        return self._sftp

    def _connect(self, timeout_seconds: float, tick: Tick, shown: ShownKeys) -> None:
        self._disconnect()
        login: Login = login_of(self._details, self._resolve_secret)
        work = open_connection(self._details, login, shown, timeout_seconds)
        self._connection = self._run(work, f"The SFTP server at {self._where}", tick)

    def _disconnect(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None and self._loop is not None:
            self._loop.run(_disconnected(connection))

    def _run(
        self,
        work: Coroutine[Any, Any, Result],
        what: str,
        tick: Tick = never_stop,
        timeout_seconds: float | None = None,
    ) -> Result:
        if self._loop is None:
            self._loop = BackgroundLoop()
        with sftp_errors(what):
            return self._loop.run(work if timeout_seconds is None else asyncio.wait_for(work, timeout_seconds), tick)

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name)

    def _called(self, name: str) -> str:
        return f"'{self._path(name)}' on {self._where}"

    def _accepted(self, shown: ShownKeys) -> str:
        how = "any key is trusted" if self._details.pinned_key is None else "as pinned"
        return f"{shown.text()}, {how}"


async def _started(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    # A name that is not UTF-8 must not stop the listing of others.
    return await connection.start_sftp_client(path_errors="surrogateescape")


async def _probe(sftp: asyncssh.SFTPClient, path: str) -> None:
    async with sftp.open(path, "rb", encoding=None) as file:
        await file.read(1)


async def _closed(remote: RemoteFile) -> None:
    """Close what may be broken: its failure was told where it was read, or does not matter any more."""
    import asyncssh

    try:
        await remote.close()
    except (asyncssh.Error, OSError):
        return


async def _disconnected(connection: asyncssh.SSHClientConnection) -> None:
    """Say goodbye, but do not wait for an answer for long."""
    connection.close()
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
