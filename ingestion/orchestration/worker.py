"""The life of a run worker, from the fork on: one process executes one run, then ends."""

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
from dagster import DagsterInstance
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value
from dagster._utils.interrupts import capture_interrupts
from pydantic import TypeAdapter

from ingestion.orchestration import tags
from ingestion.orchestration.deadline import end_within
from ingestion.processes.lifeline import end_with_supervisor

TERMINATION_GRACE_SECONDS = 10.0
"""How long a worker that was asked to stop may take before it is killed."""

_CRASHED = 70
# Both clocks count from boot, but the boot time they add to it is told anew by each process.
_START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class WorkerIdentity:
    """A process that cannot be mistaken for another one that got the same pid later. `started` is in epoch seconds."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "WorkerIdentity":
        """The identity of a running process. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def from_tag(cls, tag: str) -> "WorkerIdentity":
        """The identity as the worker wrote it on its run."""
        return TypeAdapter(cls).validate_json(tag)

    def to_tag(self) -> str:
        """The value of the run's worker tag."""
        return TypeAdapter(type(self)).dump_json(self).decode()

    def process(self) -> psutil.Process | None:
        """The process when it still lives, else None. A zombie is dead."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= _START_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class RunRequest:
    """What the launcher is asked to start. `instance_ref` is Dagster's serialised form."""

    run_id: str
    instance_ref: str
    log_path: str

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "RunRequest":
        """The request that `to_message` wrote. Raises ValueError for anything else."""
        return TypeAdapter(cls).validate_python(message)

    def to_message(self) -> dict[str, Any]:
        """As it goes over the launcher's socket."""
        return asdict(self)


def work(request: RunRequest, close_inherited: Callable[[], None]) -> NoReturn:
    """Execute the run in this freshly forked process, and end the process. Never returns.

    `close_inherited` closes what only the launcher may have open.
    """
    code = _CRASHED
    try:
        close_inherited()
        _leave_the_launcher(request)
        code = _execute(request)
    except BaseException:
        # The boundary of the process: there is nobody above to tell but the run's own log.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_the_launcher(request: RunRequest) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
    random.seed()
    Path(request.log_path).parent.mkdir(parents=True, exist_ok=True)
    log = os.open(request.log_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    os.close(log)


def _execute(request: RunRequest) -> int:
    end_within(TERMINATION_GRACE_SECONDS)
    end_with_supervisor(TERMINATION_GRACE_SECONDS)
    # Outside of a step an interrupt is remembered and raised at the next one, as `dagster api execute_run` does.
    with (
        capture_interrupts(),
        DagsterInstance.from_ref(deserialize_value(request.instance_ref, InstanceRef)) as instance,
    ):
        # Written here and not by the process that launches: it would overwrite the run's status of that moment.
        instance.add_run_tags(request.run_id, {tags.WORKER: WorkerIdentity.of(os.getpid()).to_tag()})
        return _execute_run_command_body(request.run_id, instance, lambda event: None, True)
