"""Reloads: soon, once for many changes, and never the end of the loop that does them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from api import reloads as reloads_module
from api.reloads import Reloads
from ingestion.errors import IngestionError, ServiceUnavailable
from ingestion_tests.api.live import StandInDagster


class Reloading(StandInDagster):
    """Fails its first reloads with the errors given."""

    def __init__(self, *errors: IngestionError) -> None:
        super().__init__()
        self._errors = list(errors)
        self._asked = asyncio.Queue[None]()

    async def next_reload(self) -> None:
        await asyncio.wait_for(self._asked.get(), 5)

    async def reload(self) -> None:
        await super().reload()
        self._asked.put_nowait(None)
        if self._errors:
            raise self._errors.pop(0)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloads_module, "QUIET_SECONDS", 0.02)


def test_many_changes_are_one_reload() -> None:
    async def story() -> int:
        dagster = Reloading()
        reloads = Reloads(dagster)
        loop = asyncio.create_task(reloads.run())
        for _ in range(5):
            reloads.ask()
            await asyncio.sleep(0)
        await dagster.next_reload()
        await asyncio.sleep(0.1)
        loop.cancel()
        return dagster.reloads

    assert asyncio.run(story()) == 1


def test_a_change_during_a_reload_is_another_reload() -> None:
    async def story() -> int:
        dagster = Reloading()
        reloads = Reloads(dagster)
        loop = asyncio.create_task(reloads.run())
        for _ in range(2):
            reloads.ask()
            await dagster.next_reload()
        loop.cancel()
        return dagster.reloads

    assert asyncio.run(story()) == 2


def test_a_failed_reload_is_logged_and_the_next_one_happens(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        dagster = Reloading(ServiceUnavailable("the code server is away"))
        reloads = Reloads(dagster)
        loop = asyncio.create_task(reloads.run())
        reloads.ask()
        await dagster.next_reload()
        reloads.ask()
        await dagster.next_reload()
        assert not loop.done()
        loop.cancel()

    with caplog.at_level(logging.WARNING, logger="ingestion.api"):
        asyncio.run(story())
    assert "could not be reloaded: the code server is away" in caplog.text
