"""How a child process knows that its supervisor is gone, even when that was killed.

The supervisor holds the write end of a pipe and gives every child the read end, whose number is in
INGESTION_LIFELINE_FD. Nothing is ever written: end of file means that the supervisor is no more.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Mapping
from typing import Self

LIFELINE_VARIABLE = "INGESTION_LIFELINE_FD"
GRACE_SECONDS = 15.0
"""How long a child may take to end by itself after the supervisor is gone."""


class Lifeline:
    """The supervisor's side of the pipe. A context manager; `reader` is for the children to inherit."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        self._is_cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.cut()
        os.close(self.reader)

    def environment(self) -> dict[str, str]:
        """What a child's environment needs to find the pipe."""
        return {LIFELINE_VARIABLE: str(self.reader)}

    def cut(self) -> None:
        """Tell whoever holds the other end to end itself."""
        if not self._is_cut:
            self._is_cut = True
            os.close(self._writer)


def lifeline_fd(environment: Mapping[str, str] | None = None) -> int | None:
    """The read end of the lifeline, or None when this process was not started by a supervisor."""
    given = (os.environ if environment is None else environment).get(LIFELINE_VARIABLE, "")
    if not given.isdecimal():
        return None
    descriptor = int(given)
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return None  # The variable came along to a process that was not given the pipe.
    if not is_pipe:
        return None
    os.set_inheritable(descriptor, False)
    return descriptor


def end_with_supervisor(grace_seconds: float = GRACE_SECONDS) -> None:
    """Send this process SIGTERM when its supervisor is gone, and SIGKILL if it is still there after the grace.

    Starts one daemon thread; does nothing in a process without a lifeline.
    """
    descriptor = lifeline_fd()
    if descriptor is None:
        return
    watcher = threading.Thread(target=_watch, args=(descriptor, grace_seconds), name="lifeline", daemon=True)
    watcher.start()


def _watch(descriptor: int, grace_seconds: float) -> None:
    while os.read(descriptor, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace_seconds)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
