"""Which processes belong to one start of the service, however they were forked and whoever their parent is now.

Every child gets a random token in INGESTION_FAMILY, and what it starts or forks inherits it. That finds a run
worker whose launcher was killed: it has a session of its own and no parent left.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable

import psutil

FAMILY_VARIABLE = "INGESTION_FAMILY"


def new_family() -> str:
    """A token for one start."""
    return secrets.token_hex(16)


def members(family: str) -> list[psutil.Process]:
    """The living processes of a family."""
    return [process for process in psutil.process_iter() if _belongs(process, family)]


def end_family(family: str, grace_seconds: float, hurry: Callable[[], bool] = lambda: False) -> int:
    """Wait for a family's processes to end, kill those that are left after the grace, answer how many that were.

    The wait is cut short as soon as `hurry` says so.
    """
    deadline = time.monotonic() + grace_seconds
    left = members(family)
    while left and time.monotonic() < deadline and not hurry():
        psutil.wait_procs(left, timeout=min(0.2, max(0.0, deadline - time.monotonic())))
        left = members(family)  # They may have started others meanwhile.
    killed = len(left)
    while left:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1.0)
        left = members(family)
    return killed


def _belongs(process: psutil.Process, family: str) -> bool:
    try:
        return process.environ().get(FAMILY_VARIABLE) == family and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False  # Gone meanwhile, a zombie, or another user's.
