"""One supervisor per home."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Self

import psutil
from pydantic import Field, ValidationError

from ingestion.model.base import StrictModel

# Both clocks count from boot, but the boot time they add to it is told anew by each process.
_START_TOLERANCE_SECONDS = 2.0


class LockOwner(StrictModel):
    """Who holds a lock, as it is written in the lock file. `started` is in epoch seconds."""

    pid: int = Field(ge=1)
    started: float
    family: str

    def is_alive(self) -> bool:
        """Whether that very process is still there."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) <= _START_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return False


class HomeInUse(Exception):
    """Another supervisor runs on the home. `pid` is its process, if it could be told."""

    def __init__(self, home: Path, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(f"{home} is in use: {owner} already runs `ingestion up` on it")
        self.pid = pid


class HomeLock:
    """An exclusive lock on a home for as long as this object is open; the kernel frees it with the process.

    `previous` is who held the lock before, when that process ended without a clean stop.
    """

    def __init__(self, home: Path, path: Path, family: str) -> None:
        self._file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = self._read()
            self._file.close()
            raise HomeInUse(home, owner.pid if owner and owner.is_alive() else None) from None
        self.previous = self._read()
        self._write(LockOwner(pid=os.getpid(), started=psutil.Process().create_time(), family=family).model_dump())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the home free after a clean stop."""
        self._file.truncate(0)
        self._file.close()

    def _read(self) -> LockOwner | None:
        self._file.seek(0)
        try:
            return LockOwner.model_validate_json(self._file.read())
        except ValidationError:
            return None  # Empty after a clean stop, or half written by a process that was killed.

    def _write(self, owner: dict[str, object]) -> None:
        self._file.truncate(0)
        self._file.write(json.dumps(owner))
        self._file.flush()
