"""Log files of the child processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

ROTATE_BYTES = 10 * 1024 * 1024
KEPT_FILES = 3
_TAIL_BYTES = 64 * 1024


def open_log(path: Path, rotate_bytes: int = ROTATE_BYTES) -> BinaryIO:
    """The log file for appending. One that has grown past `rotate_bytes` first becomes `<name>.1`, and so on."""
    if path.exists() and path.stat().st_size > rotate_bytes:
        for number in range(KEPT_FILES - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log file; none when there is no file."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-count:]
