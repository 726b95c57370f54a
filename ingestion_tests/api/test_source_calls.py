"""Calls to sources: a deadline each, and only so many at once, however long they hang."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from api.source_calls import SourceCalls
from ingestion.errors import ServiceUnavailable


def test_the_answer_and_the_error_of_the_work() -> None:
    async def story() -> None:
        calls = SourceCalls()
        assert await calls.run(lambda: 5, 5) == 5
        with pytest.raises(ZeroDivisionError):
            await calls.run(lambda: 1 // 0, 5)

    anyio.run(story)


def test_work_that_overstays_keeps_its_place_until_it_ends() -> None:
    end = threading.Event()

    async def story() -> None:
        calls = SourceCalls(most=2)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await calls.run(end.wait, 0.05)
        with pytest.raises(ServiceUnavailable, match="too many"):
            await calls.run(lambda: 5, 0.05)
        end.set()
        assert await calls.run(lambda: 5, 5) == 5

    try:
        anyio.run(story)
    finally:
        end.set()


def test_many_calls_take_turns() -> None:
    running = most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    async def story() -> None:
        calls = SourceCalls(most=3)
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(calls.run, work, 10)

    anyio.run(story)
    assert most == 3


def test_a_cancelled_call_gives_its_place_back() -> None:
    async def story() -> None:
        calls = SourceCalls(most=1)
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await calls.run(lambda: time.sleep(0.05), 5)
        assert await calls.run(lambda: 5, 5) == 5

    anyio.run(story)
