from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from ingestion.processes.signals import SignalInbox, hear_interrupts


@pytest.mark.parametrize("given", [signal.SIG_IGN, signal.default_int_handler])
def test_interrupts_are_heard_whatever_the_shell_set(given: signal.Handlers) -> None:
    before = signal.signal(signal.SIGINT, given)
    try:
        hear_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_the_process_stays() -> None:
    with SignalInbox():
        there = signal.getsignal(signal.SIGINT)
        hear_interrupts()
        assert signal.getsignal(signal.SIGINT) is there


def test_every_command_hears_interrupts_from_its_start() -> None:
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import atexit, sys; atexit.register(lambda: print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN))\n"
        "from ingestion.cli import main; sys.argv = ['ingestion', 'version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_request_to_stop_wakes_the_loop() -> None:
    with SignalInbox() as inbox:
        signal.raise_signal(signal.SIGTERM)
        inbox.wait(30)
        assert inbox.stop_requests == 1
