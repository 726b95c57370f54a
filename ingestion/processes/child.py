"""One supervised process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.processes.backoff import Backoff
from ingestion.processes.logs import open_log

HEALTHY_SECONDS = 60.0
"""A process that was ready for this long starts again with the shortest wait."""


def always() -> bool:
    """The readiness of a process that has no check of its own."""
    return True


@dataclass(frozen=True)
class ChildSpec:
    """What to run. `ready` is asked, without blocking for long, until it says yes; children named in `after` come
    first. The process gets `stop_grace` seconds between SIGTERM and SIGKILL. `environment` and `descriptors` (open
    files to inherit) are for this child only, beside those all children get. One that runs `once` is ready when it has
    ended with code 0, and with any other code the service cannot start.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool] = always
    stop_grace: float = 10.0
    after: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()
    once: bool = False


@dataclass
class Child:
    """A spec and its process, in a session of its own. Times are of time.monotonic."""

    spec: ChildSpec
    log_path: Path
    backoff: Backoff = field(default_factory=Backoff)
    start_at: float = 0.0
    is_ready: bool = False
    is_done: bool = False
    ready_since: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The process's pid, while it is not known to have ended."""
        return self._process.pid if self._process else None

    def start(self, environment: Mapping[str, str], descriptors: Sequence[int]) -> None:
        """Start the process. Raises OSError when that is impossible."""
        self.is_ready = False
        with open_log(self.log_path) as log:
            self._process = subprocess.Popen(
                list(self.spec.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment, **self.spec.environment},
                pass_fds=(*descriptors, *self.spec.descriptors),
                start_new_session=True,
            )

    def check_ready(self) -> bool:
        """Whether the process is ready; the spec is asked until it says so once."""
        if not self.is_ready and self._process is not None and not self.spec.once and self.spec.ready():
            self.is_ready = True
            self.ready_since = time.monotonic()
        return self.is_ready

    def forgive(self) -> None:
        """Forget earlier failures after a healthy minute."""
        if self.is_ready and time.monotonic() - self.ready_since >= HEALTHY_SECONDS:
            self.backoff.reset()

    def exit_code(self) -> int | None:
        """None while the process runs. Once it has ended, its code; what it left in its process group is killed."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None:
            self.kill()
            self._process = None
            self.is_ready = False
        return code

    def finish(self) -> None:
        """Take note that a process that runs once has done its work."""
        self.is_done = self.is_ready = True

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Kill the process and everything in its process group."""
        if self._process is None:
            return
        # macOS answers EPERM for a group whose only member is a zombie.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
