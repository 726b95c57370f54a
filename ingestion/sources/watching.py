"""Blocking work that can be stopped: it goes on in threads of its own while the caller's thread tells progress.

A database driver waits for the server in C, and the first row of a slow query may take an hour. So the caller's
thread never waits for the server: it ticks, and what a tick raises (a cancel) interrupts the work where it waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from ingestion.errors import Cancelled

Result = TypeVar("Result")
Interrupt = Callable[[bool], None]
"""Makes waiting work fail soon; may be called again and again, at last with True: by any means. Raises nothing."""

_TICK_SECONDS = 0.25
_AGAIN_SECONDS = 0.2
_POLITE_SECONDS = 1.0
_GIVE_UP_SECONDS = 10.0
_BLIND_SECONDS = 2.0


class Watching:
    """Runs work for one caller. `tick` is called in the caller's thread several times a second.

    Work that is to stop but cannot be interrupted is waited for `give_up_seconds`.
    """

    def __init__(self, tick: Callable[[], None], give_up_seconds: float = _GIVE_UP_SECONDS) -> None:
        self._tick = tick
        self._give_up_seconds = give_up_seconds
        self._interrupts: dict[int, Interrupt] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self.is_stopped = False

    def check(self) -> None:
        """For the work itself: raise when it is to stop."""
        if self.is_stopped:
            raise Cancelled("the work was stopped")

    @contextmanager
    def interrupting(self, interrupt: Interrupt) -> Iterator[None]:
        """While in the block, `interrupt` is how waiting work is made to fail."""
        with self._lock:
            self._interrupts[id(interrupt)] = interrupt
        try:
            self.check()
            yield
        finally:
            with self._lock:
                del self._interrupts[id(interrupt)]

    def run(self, *works: Callable[[], Result]) -> Sequence[Result]:
        """The results of all works, which are done at once; the first failure stops the others and is raised."""
        outcomes: list[Result | None] = [None] * len(works)
        failures: list[BaseException] = []

        def do(index: int, work: Callable[[], Result]) -> None:
            try:
                outcomes[index] = work()
            except BaseException as error:
                failures.append(error)
            finally:
                self._changed.set()

        threads = [
            threading.Thread(target=do, args=(index, work), name=f"reading-{index}", daemon=True)
            for index, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads) and not failures:
                self._changed.wait(_TICK_SECONDS)
                self._changed.clear()
                self._tick()
            if failures:
                raise failures[0]
        except BaseException:
            self._stop(threads)
            raise
        return list(outcomes)  # type: ignore[arg-type]

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        """Interrupt until all threads have ended: an interrupt between two statements goes unheard."""
        self.is_stopped = True
        started = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            waited = time.monotonic() - started
            with self._lock:
                interrupts = list(self._interrupts.values())
            if waited > (self._give_up_seconds if interrupts else min(_BLIND_SECONDS, self._give_up_seconds)):
                return  # It waits for something without an interrupt, such as a connection being made, and ends then.
            for interrupt in interrupts:
                interrupt(waited > _POLITE_SECONDS)
            for thread in threads:
                thread.join(_AGAIN_SECONDS / len(threads))
