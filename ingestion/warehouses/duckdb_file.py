"""Opening a dataset's DuckDB file: short holds, patience with other processes, a plain error at the end of it.

DuckDB lets one process write, or several read. Everyone here opens, works and closes.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ingestion.errors import TargetBusy, TargetFailed

DEFAULT_WAIT_SECONDS = 60.0
"""How long an open waits for another process to let go of the file."""

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.5
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

_locks_guard = threading.Lock()
_locks: dict[Path, threading.Lock] = {}


@contextmanager
def opened(
    path: Path, *, read_only: bool, wait_seconds: float = DEFAULT_WAIT_SECONDS
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the dataset file, made first if it is to be written. UTC is the session's time zone.

    Raises TargetBusy when the file stays locked for `wait_seconds`, TargetFailed when it cannot be used.
    """
    if "?" in str(path):
        # DuckDB takes what follows for parameters and writes its log next to another name.
        raise TargetFailed(f"DuckDB cannot keep a dataset below a path with '?': {path}", path=str(path))
    deadline = time.monotonic() + wait_seconds
    # DuckDB shares one instance per file and process and refuses a second one in another mode.
    lock = _lock_of(path)
    if not lock.acquire(timeout=max(wait_seconds, 0)):
        raise _busy(path, wait_seconds, "another task of this process")
    try:
        if not read_only:
            _create_if_missing(path)
        connection = _connect(path, read_only, deadline, wait_seconds)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()
    finally:
        lock.release()


def _lock_of(path: Path) -> threading.Lock:
    with _locks_guard:
        return _locks.setdefault(path, threading.Lock())


def _create_if_missing(path: Path) -> None:
    """Make an empty database under another name first: a kill never leaves half a file under the real one."""
    if path.exists():
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        duckdb.connect(str(fresh)).close()
        with contextlib.suppress(FileExistsError):  # Another process was first; its file is as good.
            os.link(fresh, path)
        fresh.unlink()
    except (OSError, duckdb.Error) as error:
        raise TargetFailed(f"the dataset file {path} cannot be made: {error}", path=str(path)) from error


def _connect(path: Path, read_only: bool, deadline: float, wait_seconds: float) -> duckdb.DuckDBPyConnection:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            if not _is_lock(error):
                raise TargetFailed(f"the dataset file {path} cannot be opened: {error}", path=str(path)) from error
            if time.monotonic() >= deadline:
                raise _busy(path, wait_seconds, _holder(error)) from error
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _is_lock(error: duckdb.Error) -> bool:
    text = str(error)
    return "Could not set lock" in text or "different configuration" in text


def _holder(error: duckdb.Error) -> str:
    found = _HOLDER.search(str(error))
    if found is None:
        return "another connection of this process" if "configuration" in str(error) else "another process"
    return f"process {found['pid']} ({found['program']})"


def _busy(path: Path, wait_seconds: float, holder: str) -> TargetBusy:
    return TargetBusy(
        f"the dataset file {path} has been held by {holder} for more than {wait_seconds:g} s; "
        "close what has it open and try again",
        path=str(path),
        holder=holder,
    )
