"""Reading one remote file with many requests under way, for one at a time is a fortieth of the speed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from ingestion.errors import SourceChanged

if TYPE_CHECKING:
    import asyncssh

_IN_FLIGHT_BYTES = 8 << 20
_FEWEST, _MOST = 16, 128
_SMALLEST_BLOCK = 16 << 10
_CLOSE_SECONDS = 2.0
STALL_SECONDS = 60.0
"""How long one answer may take."""


class RemoteFile:
    """A remote file that is open: its state, and its bytes from `start` to `end`, in order."""

    def __init__(self, sftp: asyncssh.SFTPClient, name: str, file: asyncssh.SFTPClientFile) -> None:
        self._name = name
        self._file = file
        self._block = sftp.limits.max_read_len or _SMALLEST_BLOCK
        self._window = max(_FEWEST, min(_MOST, _IN_FLIGHT_BYTES // self._block))
        self._pending: deque[asyncio.Task[bytes]] = deque()
        self._next = 0
        self._end = 0

    @classmethod
    async def open(cls, sftp: asyncssh.SFTPClient, path: str, name: str) -> Self:
        """Open the file at `path`; `name` is what messages call it."""
        async with asyncio.timeout(STALL_SECONDS):
            # A block size of 0 makes each read one request, so that the pipeline is ours.
            return cls(sftp, name, await sftp.open(path, "rb", encoding=None, block_size=0))

    async def state(self) -> asyncssh.SFTPAttrs:
        """Size and time of change of what is open, whatever its name means by now."""
        async with asyncio.timeout(STALL_SECONDS):
            return await self._file.stat()

    def begin(self, start: int, end: int) -> None:
        """Ask for the first blocks."""
        self._next, self._end = start, end
        self._ask()

    async def next(self) -> list[bytes]:
        """The blocks that have come, at least one; none at the end. Raises SourceChanged when the file is shorter."""
        if not self._pending:
            return []
        async with asyncio.timeout(STALL_SECONDS):
            blocks = [await self._pending.popleft()]
        while self._pending and self._pending[0].done():
            blocks.append(self._pending.popleft().result())
        self._ask()
        return blocks

    async def close(self) -> None:
        """Give up what is under way and close the file."""
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
        self._pending.clear()
        async with asyncio.timeout(_CLOSE_SECONDS):
            await self._file.close()

    def _ask(self) -> None:
        while self._next < self._end and len(self._pending) < self._window:
            size = min(self._block, self._end - self._next)
            self._pending.append(asyncio.create_task(self._read(self._next, size)))
            self._next += size

    async def _read(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            data: bytes = await self._file.read(size, offset)
            if not data:
                raise SourceChanged(f"'{self._name}' became shorter while it was read", object=self._name)
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)


async def begin(remote: RemoteFile, start: int, end: int) -> asyncssh.SFTPAttrs:
    """Ask for the content and the state at once: small files take as few round trips as can be."""
    remote.begin(start, end)
    return await remote.state()


async def states_of(
    remote: RemoteFile, sftp: asyncssh.SFTPClient, path: str
) -> tuple[asyncssh.SFTPAttrs, asyncssh.SFTPAttrs]:
    """The state of what is open, and of what has its name by now."""
    async with asyncio.timeout(STALL_SECONDS):
        return await asyncio.gather(remote.state(), sftp.stat(path))
