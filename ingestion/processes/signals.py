"""Signals as events of a loop, in a process with one thread."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hear_interrupts() -> None:
    """Take SIGINT as usual, also where a shell started this process in the background and had it ignored.

    Dagster gives SIGTERM the handler that it finds for SIGINT: both would be ignored for good.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class SignalInbox:
    """Counts the requests to stop and wakes the loop for these and for ended children. A context manager."""

    def __init__(self) -> None:
        self.stop_requests = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._request_stop)
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Sleep, at most until the next signal."""
        readable, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if readable:
            os.read(self._reader, 4096)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requests += 1
