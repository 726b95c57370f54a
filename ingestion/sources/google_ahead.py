"""Small objects fetched before they are asked for: each costs a round trip, whatever its size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ingestion.sources.base import ObjectVersion
from ingestion.sources.file_store import Tick

SMALL_BYTES = 1 << 20
"""Objects up to this size are read ahead; a larger one is copied when its turn comes, in parts at once."""

_AT_ONCE = 8
_AHEAD_OBJECTS = 64
_AHEAD_BYTES = 32 << 20
_TICK_SECONDS = 0.25


class ReadAhead:
    """Fetches the small ones of `versions` in the background, in their order, some way ahead of `take`."""

    def __init__(self, versions: Sequence[ObjectVersion], fetch: Callable[[ObjectVersion], bytes]) -> None:
        self._waiting = [version for version in versions if version.size_bytes <= SMALL_BYTES]
        self._places = {version: place for place, version in enumerate(self._waiting)}
        self._fetch = fetch
        self._started = 0
        self._taken = 0
        self._held_bytes = 0
        self._done: dict[ObjectVersion, bytes | BaseException] = {}
        self._changed = threading.Condition()
        self._is_closed = False
        for number in range(min(_AT_ONCE, len(self._waiting))):
            threading.Thread(target=self._work, name=f"read-ahead-{number}", daemon=True).start()

    def take(self, version: ObjectVersion, tick: Tick) -> bytes | None:
        """The content of an object, once; None of one that is not read ahead. Raises what its fetch raised."""
        place = self._places.pop(version, None)
        if place is None:
            return None
        with self._changed:
            self._taken = max(self._taken, place + 1)
            self._changed.notify_all()
            while version not in self._done:
                self._changed.wait(_TICK_SECONDS)
                tick()
            content = self._done.pop(version)
            self._held_bytes -= version.size_bytes
            self._changed.notify_all()
        if isinstance(content, BaseException):
            raise content
        return content

    def close(self) -> None:
        """Start no further fetch, and forget what was fetched."""
        with self._changed:
            self._is_closed = True
            self._done.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while (version := self._next()) is not None:
            try:
                content: bytes | BaseException = self._fetch(version)
            except BaseException as error:
                content = error
            with self._changed:
                if self._is_closed:
                    return
                self._done[version] = content
                self._changed.notify_all()

    def _next(self) -> ObjectVersion | None:
        """The next object to fetch, as soon as there is room for it; None when there is none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._started == len(self._waiting) or self._has_room())
            if self._is_closed or self._started == len(self._waiting):
                return None
            version = self._waiting[self._started]
            self._started += 1
            self._held_bytes += version.size_bytes
            return version

    def _has_room(self) -> bool:
        ahead = self._started - self._taken
        size = self._waiting[self._started].size_bytes
        return ahead < 1 or (ahead < _AHEAD_OBJECTS and self._held_bytes + size <= _AHEAD_BYTES)
