"""Workers as others know them: by pid and start, so that no other process is taken for one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ingestion.orchestration.worker import RunRequest, WorkerIdentity

CRASHING = """
import os, sys
from ingestion.orchestration.worker import RunRequest, work

def unclosable():
    raise ValueError("nothing to close")

for close_inherited in (lambda: None, unclosable):
    pid = os.fork()
    if pid == 0:
        work(RunRequest("run", "{}", sys.argv[1]), close_inherited)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_an_identity_comes_back_from_its_tag() -> None:
    own = WorkerIdentity.of(os.getpid())

    again = WorkerIdentity.from_tag(own.to_tag())

    assert again == own
    found = again.process()
    assert found is not None
    assert found.pid == os.getpid()


def test_another_process_with_the_same_pid_is_not_it() -> None:
    own = WorkerIdentity.of(os.getpid())

    assert replace(own, started=own.started - 60).process() is None


def test_the_dead_are_gone_before_they_are_reaped_and_after() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = WorkerIdentity.of(process.pid)
        assert identity.process() is not None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert identity.process() is None, "a zombie"
    assert identity.process() is None
    with pytest.raises(psutil.NoSuchProcess):
        WorkerIdentity.of(process.pid)


def test_a_request_comes_back_from_its_message() -> None:
    request = RunRequest("run-1", "{}", "/logs/run-1.log")

    assert RunRequest.from_message(request.to_message()) == request
    for message in ({}, request.to_message() | {"run_id": None}, {"run_id": "run-1"}):
        with pytest.raises(ValueError, match="validation error"):
            RunRequest.from_message(message)


def test_a_worker_that_cannot_even_begin_ends_and_says_why(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"

    done = subprocess.run([sys.executable, "-c", CRASHING, str(log)], capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == ["70", "70"]
    assert "Traceback" in log.read_text()
    assert "nothing to close" in done.stderr
