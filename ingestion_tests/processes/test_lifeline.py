from __future__ import annotations

import os
import subprocess
import sys

from ingestion.processes.lifeline import LIFELINE_VARIABLE, Lifeline, lifeline_fd

_CHILD = """
import sys, time
from ingestion.processes.lifeline import end_with_supervisor
end_with_supervisor(grace_seconds=0.5)
if "stubborn" in sys.argv:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("running", flush=True)
time.sleep(60)
"""


def exit_code_after_the_cut(*arguments: str) -> int:
    with Lifeline() as lifeline:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, **lifeline.environment()},
            pass_fds=(lifeline.reader,),
            start_new_session=True,
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"running\n"
            assert child.poll() is None
            lifeline.cut()
            return child.wait(timeout=10)


def test_a_child_ends_with_its_supervisor() -> None:
    assert exit_code_after_the_cut() == -15


def test_a_child_that_does_not_react_is_killed() -> None:
    assert exit_code_after_the_cut("stubborn") == -9


def test_without_a_supervisor_there_is_no_lifeline() -> None:
    assert lifeline_fd({}) is None
    assert lifeline_fd({LIFELINE_VARIABLE: "not a number"}) is None


def test_a_variable_without_its_pipe_is_no_lifeline() -> None:
    with open(os.devnull) as other:
        assert lifeline_fd({LIFELINE_VARIABLE: str(other.fileno())}) is None
    assert lifeline_fd({LIFELINE_VARIABLE: "987654"}) is None
