"""Telling Dagster that definitions changed: in the background, once for many changes."""

from __future__ import annotations

import asyncio
import logging

from api.dagster_port import DagsterPort
from ingestion.errors import IngestionError

QUIET_SECONDS = 0.3
"""How long further changes are waited for."""

logger = logging.getLogger("ingestion.api")


class Reloads:
    """Reloads the code location some time after it was asked for.

    A reload that fails is only logged: executing a new pipeline reloads by itself when it has to.
    """

    def __init__(self, dagster: DagsterPort) -> None:
        self._dagster = dagster
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload soon. Call it on the event loop."""
        self._asked.set()

    async def run(self) -> None:
        """Serve requests until cancelled."""
        while True:
            await self._asked.wait()
            await asyncio.sleep(QUIET_SECONDS)
            self._asked.clear()
            try:
                await self._dagster.reload()
            except IngestionError as error:
                logger.warning("Dagster's definitions could not be reloaded: %s", error.message)
