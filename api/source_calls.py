"""Calls that touch a source: in threads, with a deadline, and only so many at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

from ingestion.errors import ServiceUnavailable

Answer = TypeVar("Answer")

MOST_CALLS = 8


class SourceCalls:
    """Runs blocking work on sources. Work that overstays its deadline keeps its place until it really ends.

    That is why a plain limiter will not do: sources that hang would leave ever more threads behind.
    """

    def __init__(self, most: int = MOST_CALLS) -> None:
        self._places = asyncio.Semaphore(most)
        self._threads = anyio.CapacityLimiter(most * 2)

    async def run(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """What `work` answers. Raises TimeoutError after `seconds`, or ServiceUnavailable when no place comes free."""
        try:
            await asyncio.wait_for(self._places.acquire(), seconds)
        except TimeoutError as error:
            raise ServiceUnavailable("too many calls to sources are under way; try again later") from error
        place = _Place(self._places)
        try:
            with anyio.fail_after(seconds):
                return await to_thread.run_sync(place.held_during(work), abandon_on_cancel=True, limiter=self._threads)
        finally:
            place.leave_unless_begun()


class _Place:
    """One place of the semaphore, given back once: by the thread when it ends, or by us if it never began."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_taken = False

    def held_during(self, work: Callable[[], Answer]) -> Callable[[], Answer]:
        def in_thread() -> Answer:
            if not self._take():
                raise TimeoutError
            try:
                return work()
            finally:
                # The loop is closed when the service stopped meanwhile; then nobody waits for a place.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._places.release)

        return in_thread

    def leave_unless_begun(self) -> None:
        if self._take():
            self._places.release()

    def _take(self) -> bool:
        with self._lock:
            is_first, self._is_taken = not self._is_taken, True
            return is_first
