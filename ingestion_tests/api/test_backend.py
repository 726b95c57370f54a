from __future__ import annotations

import asyncio
from pathlib import Path

from api.backend import open_backend
from ingestion.settings import Settings
from ingestion.store import Store
from ingestion_tests.api.live import StandInDagster


class Reloading(StandInDagster):
    """Tells when it was asked to reload."""

    def __init__(self) -> None:
        super().__init__()
        self.reloaded = asyncio.Event()

    async def reload(self) -> None:
        self.reloaded.set()


def test_a_store_of_its_own_is_made_usable_and_closed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    dagster = Reloading()

    async def story() -> None:
        async with open_backend(settings, dagster=dagster) as backend:
            assert backend.store.is_current()
            assert backend.ui is None
            backend.reloads.ask()
            await asyncio.wait_for(dagster.reloaded.wait(), 10)
        assert len(asyncio.all_tasks()) == 1, "nothing goes on when it is closed"

    asyncio.run(story())


def test_what_is_given_stays_open(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with open_backend(Settings(home=tmp_path), store, StandInDagster()) as backend:
            assert backend.store is store

    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        store.migrate()
        asyncio.run(story(store))
        store.ping()
        assert store.pipelines.all() == []
