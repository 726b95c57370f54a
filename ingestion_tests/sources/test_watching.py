"""Work that goes on in threads and can be stopped."""

from __future__ import annotations

import threading
import time

import pytest

from ingestion.errors import Cancelled
from ingestion.sources.watching import Watching


def test_results_come_in_order() -> None:
    assert Watching(lambda: None).run(lambda: 1, lambda: 2) == [1, 2]


def test_what_a_tick_raises_interrupts_the_work() -> None:
    stopped, forced = threading.Event(), []

    def tick() -> None:
        raise InterruptedError

    watching = Watching(tick)

    def work() -> None:
        def interrupt(by_force: bool) -> None:
            forced.append(by_force)
            stopped.set()

        with watching.interrupting(interrupt):
            assert stopped.wait(30)
            watching.check()

    started = time.monotonic()
    with pytest.raises(InterruptedError):
        watching.run(work)
    assert time.monotonic() - started < 20
    assert forced[0] is False
    with pytest.raises(Cancelled):
        watching.check()


def test_work_that_will_not_hear_is_stopped_by_force() -> None:
    cut = threading.Event()
    watching = Watching(lambda: None)

    def deaf() -> None:
        with watching.interrupting(lambda by_force: cut.set() if by_force else None):
            assert cut.wait(30)

    def failing() -> None:
        raise ValueError("the first failure is the one that is told")

    with pytest.raises(ValueError, match="the first failure"):
        watching.run(deaf, failing)
    assert cut.is_set()


def test_work_that_begins_after_the_stop_does_not_begin() -> None:
    watching = Watching(lambda: None)
    watching.is_stopped = True
    with pytest.raises(Cancelled), watching.interrupting(lambda by_force: None):
        pytest.fail("the work began")
