"""Small remote files read ahead, for each takes four round trips and many of them would take the day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ingestion.errors import SourceChanged
from ingestion.sources.base import ObjectVersion
from ingestion.sources.sftp_listing import version_of
from ingestion.sources.sftp_reading import RemoteFile, begin, states_of

if TYPE_CHECKING:
    import asyncssh

SMALL_BYTES = 256 << 10
"""Files up to this size are read ahead; a larger one is asked for in many pieces at once when its turn comes."""
_FILES_AHEAD = 32


class ReadAhead:
    """The contents of the small ones of `versions`, in their order, some of them under way at any time."""

    def __init__(self, versions: Sequence[ObjectVersion], path_of: Callable[[str], str]) -> None:
        self._waiting: Iterator[ObjectVersion] = (one for one in versions if one.size_bytes <= SMALL_BYTES)
        self._path_of = path_of
        self._under_way: dict[ObjectVersion, asyncio.Task[bytes]] = {}

    async def take(self, sftp: asyncssh.SFTPClient, version: ObjectVersion) -> bytes | None:
        """The content of exactly this version, once. None if it has to be read in the ordinary way.

        That way also tells what went wrong here, and may go on with a new connection.
        """
        import asyncssh

        self._read_more(sftp)
        task = self._under_way.pop(version, None)
        if task is None:
            return None
        try:
            return await task
        except (asyncssh.Error, OSError, SourceChanged):
            return None

    def _read_more(self, sftp: asyncssh.SFTPClient) -> None:
        while len(self._under_way) < _FILES_AHEAD and (version := next(self._waiting, None)) is not None:
            task = asyncio.create_task(self._content(sftp, version))
            task.add_done_callback(_noted)
            self._under_way[version] = task

    async def _content(self, sftp: asyncssh.SFTPClient, version: ObjectVersion) -> bytes:
        path = self._path_of(version.name)
        remote = await RemoteFile.open(sftp, path, version.name)
        try:
            states = [await begin(remote, 0, version.size_bytes)]
            parts: list[bytes] = []
            while blocks := await remote.next():
                parts += blocks
            states += await states_of(remote, sftp, path)
        finally:
            await remote.close()
        if any(version_of(version.name, state) != version for state in states):
            raise SourceChanged(f"'{path}' is not what was listed", object=version.name)
        return b"".join(parts)


def _noted(task: asyncio.Task[bytes]) -> None:
    """Look at the outcome of a task that nobody may wait for any more."""
    if not task.cancelled():
        task.exception()
