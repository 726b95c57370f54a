"""An event loop in a thread of its own, for clients that only exist as coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import wait
from typing import Any, TypeVar

from ingestion.sources.file_store import Tick, never_stop

Result = TypeVar("Result")

_TICK_SECONDS = 0.5
_END_SECONDS = 10.0


class BackgroundLoop:
    """Runs coroutines for a caller that blocks. Between two calls the loop goes on: keepalives are answered."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="background-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result], tick: Tick = never_stop) -> Result:
        """The coroutine's result. When `tick` raises, the coroutine is cancelled first."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while not wait([future], _TICK_SECONDS).done:
                tick()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(_END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    """End all tasks but this one, and let them clean up."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), _END_SECONDS / 2)
    await asyncio.get_running_loop().shutdown_asyncgens()
