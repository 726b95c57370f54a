"""A promise to end in time: once a process is asked to stop, it is gone after a grace, whatever hangs."""

from __future__ import annotations

import os
import signal
import sys
import threading

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


def end_within(grace_seconds: float) -> None:
    """From the first SIGTERM or SIGINT on, this process has `grace_seconds` to end by itself; then it is killed.

    Call in the main thread. It does not handle the signals, so whoever handles them still does; a signal without
    a Python handler is not seen, but such a signal ends the process anyway. Starts one thread.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Python writes each signal's number here as it arrives, even while the main thread is deep in a library.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, grace_seconds), name="stop-deadline", daemon=True).start()


def _watch(reader: int, grace_seconds: float) -> None:
    while True:
        received = os.read(reader, 64)
        if any(number in STOP_SIGNALS for number in received):
            break
    threading.Event().wait(grace_seconds)
    print(f"process {os.getpid()} did not end within {grace_seconds:g} s and is killed", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
