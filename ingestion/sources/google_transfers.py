"""Copies of objects: in parts at once when they are large, each part going on at the byte it had reached."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.errors import PartialFile
from ingestion.sources.file_store import Tick
from ingestion.sources.google_failures import may_pass
from ingestion.sources.watching import Watching

if TYPE_CHECKING:
    import requests
    from google.cloud import storage

SPLIT_BYTES = 32 << 20
"""An object larger than this is copied in parts of this size, several at once."""

_AT_ONCE = 4
_TIMEOUT_SECONDS = (10.0, 30.0)  # To connect, and between two pieces of an answer.
_ATTEMPTS = 6
_WORTH_BYTES = 64 << 10  # A broken attempt that brought less counts as one without progress.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 8.0
_PAUSE_STEP_SECONDS = 0.1
_CHECKED_BYTES = 4 << 20
_FIRST_ERROR_STATUS = 400


class Transfer:
    """One version of an object, or its first bytes, on the way to a file."""

    def __init__(self, blob: storage.Blob, path: Path, size_bytes: int, watching: Watching) -> None:
        """`blob` has the generation to read."""
        self._blob = blob
        self._path = path
        self._size = size_bytes
        self._watching = watching

    def run(self) -> None:
        """Copy. The client's own errors are raised when a part cannot be had, those that pass after several tries."""
        with self._path.open("wb") as out:
            parts = deque(_parts(self._size))
            self._watching.run(*[lambda: self._copy(parts, out.fileno())] * min(len(parts), _AT_ONCE))

    def _copy(self, parts: deque[tuple[int, int]], file: int) -> None:
        while True:
            try:
                start, end = parts.popleft()
            except IndexError:
                return
            self._copy_part(_Part(file, start, end, self._watching, self._blob.name))

    def _copy_part(self, part: _Part) -> None:
        failed = 0
        while True:
            reached = part.position
            try:
                self._request(part)
                return
            except Exception as error:
                if not may_pass(error):
                    raise
                self._watching.check()
                failed = 0 if part.position - reached >= _WORTH_BYTES else failed + 1
                if failed >= _ATTEMPTS:
                    raise
                self._pause(failed)

    def _request(self, part: _Part) -> None:
        # A range of an empty object is an error.
        span = {"start": part.position, "end": part.end - 1} if part.end else {}
        self._blob.download_to_file(
            part,
            raw_download=True,
            if_generation_match=self._blob.generation,
            checksum=None,  # The client does not check what it resumed; `require_checksum` does.
            timeout=_TIMEOUT_SECONDS,
            retry=None,
            **span,
        )
        if part.position < part.end:
            raise ConnectionError(f"the answer ended at byte {part.position} of {part.end}")

    def _pause(self, failed: int) -> None:
        longest = min(_FIRST_PAUSE_SECONDS * 2**failed, _LONGEST_PAUSE_SECONDS)
        until = time.monotonic() + random.uniform(longest / 2, longest)
        while time.monotonic() < until:
            self._watching.check()
            time.sleep(_PAUSE_STEP_SECONDS)


class _Part:
    """Where the client writes one part: bytes `position` to `end` of an open file."""

    def __init__(self, file: int, start: int, end: int, watching: Watching, name: str) -> None:
        self._file = file
        self._start = start
        self._watching = watching
        self._name = name
        self.position = start
        self.end = end

    def write(self, data: bytes) -> int:
        self._watching.check()
        if self.position + len(data) > self.end:
            raise PartialFile(
                f"'{self._name}' came with more bytes than it has: something on the way changes it, such as a proxy "
                f"that decompresses",
                object=self._name,
            )
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, self.position)
            self.position += written
            view = view[written:]
        return len(data)

    def seek(self, position: int, whence: int = 0) -> int:
        """The client goes to the beginning when a server sends a decompressed object, of whatever range."""
        self.position = self._start
        return position

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing is buffered."""


def require_checksum(path: Path, name: str, checksum: str | None, tick: Tick) -> None:
    """Raise PartialFile unless the file has the crc32c that its store told, in base64."""
    if checksum is None:
        return
    import base64

    import google_crc32c

    found = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with path.open("rb") as file:
        while chunk := file.read(_CHECKED_BYTES):
            found.update(chunk)  # type: ignore[no-untyped-call]
            tick()
    digest: bytes = found.digest()  # type: ignore[no-untyped-call]
    if base64.b64encode(digest).decode() != checksum:
        raise PartialFile(f"'{name}' arrived damaged: its checksum differs", object=name)


class Answers:
    """The answers a client is receiving, so that threads that wait for their bytes can be made to stop."""

    def __init__(self, client: storage.Client) -> None:
        self._lock = threading.Lock()
        self._current: list[requests.Response] = []
        client._http.hooks["response"].append(self._note)

    def interrupt(self, by_any_means: bool) -> None:
        """End the waiting for all of them."""
        with self._lock:
            current, self._current = self._current, []
        for answer in current:
            with suppress(OSError, ValueError, RuntimeError):  # It is complete, or its connection is gone.
                answer.raw.shutdown()

    def _note(self, answer: requests.Response, *arguments: Any, **options: Any) -> None:
        if answer.status_code >= _FIRST_ERROR_STATUS:
            _ = answer.content  # A refused answer that nobody reads would keep its connection.
        with self._lock:
            self._current = [answer, *(other for other in self._current if not other.raw.closed)]


def _parts(size: int) -> Iterator[tuple[int, int]]:
    """Ranges `[start, end)` of a size; one even when it is 0."""
    yield 0, min(size, SPLIT_BYTES)
    for start in range(SPLIT_BYTES, size, SPLIT_BYTES):
        yield start, min(start + SPLIT_BYTES, size)
