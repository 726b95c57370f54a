from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.dagster_connection import connect
from ingestion.errors import ServiceUnavailable
from ingestion.settings import Settings
from ingestion.store import Store


def test_a_webserver_elsewhere_needs_nothing_here_and_may_be_away(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, dagster_url="http://127.0.0.1:9/dagster")

    async def story(store: Store) -> None:
        async with connect(settings, store) as connection:
            assert connection.ui is None
            with pytest.raises(ServiceUnavailable):
                await connection.api.runs(["run"])
            assert len(asyncio.all_tasks()) > 1, "the reconciler works beside it"
        assert len(asyncio.all_tasks()) == 1

    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        store.migrate()
        asyncio.run(story(store))
    assert not settings.dagster_home.exists()
