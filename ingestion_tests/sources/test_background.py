"""Coroutines for a caller that blocks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from ingestion.sources.background import BackgroundLoop


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop()
    yield made
    made.close()


def test_a_result_or_an_error_comes_back(loop: BackgroundLoop) -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> None:
        raise TimeoutError("its own")

    assert loop.run(answer()) == 42
    with pytest.raises(TimeoutError, match="its own"):
        loop.run(fail())


def test_the_loop_goes_on_between_two_calls(loop: BackgroundLoop) -> None:
    done = threading.Event()

    async def begin() -> asyncio.Task[None]:
        async def later() -> None:
            await asyncio.sleep(0.01)
            done.set()

        return asyncio.create_task(later())

    loop.run(begin())
    assert done.wait(10)


def test_a_tick_that_raises_cancels_the_work(loop: BackgroundLoop) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def stop() -> None:
        raise InterruptedError("cancelled")

    started = time.monotonic()
    with pytest.raises(InterruptedError):
        loop.run(wait(), stop)
    assert cancelled.wait(10)
    assert time.monotonic() - started < 30


def test_closing_cancels_what_runs_and_ends_the_thread() -> None:
    ended = threading.Event()

    async def begin() -> asyncio.Task[None]:
        async def for_ever() -> None:
            try:
                await asyncio.sleep(600)
            finally:
                ended.set()

        task = asyncio.create_task(for_ever())
        await asyncio.sleep(0)
        return task

    loop = BackgroundLoop()
    loop.run(begin())
    loop.close()
    assert ended.is_set()
    assert all(thread.name != "background-loop" for thread in threading.enumerate())
