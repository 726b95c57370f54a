"""Connecting the API to Dagster: its web app in this process, or a webserver elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio import to_thread
from starlette.types import ASGIApp

from ingestion.orchestration.dagster_api import DagsterApi
from ingestion.orchestration.instance import prepare_instance
from ingestion.orchestration.reconciler import LOOK_SECONDS, Reconciler
from ingestion.orchestration.webserver import DagsterMount, create_dagster_app
from ingestion.settings import Settings
from ingestion.store import Store
from ingestion.warehouses import open_warehouse


@dataclass(frozen=True)
class DagsterConnection:
    """A client of Dagster, and its web app when that runs in this process."""

    api: DagsterApi
    ui: ASGIApp | None


@asynccontextmanager
async def connect(settings: Settings, store: Store) -> AsyncIterator[DagsterConnection]:
    """Dagster, with the loop that keeps executions true running beside it."""
    async with _opened(settings) as connection:
        reconciler = Reconciler(store, open_warehouse(settings, LOOK_SECONDS), connection.api)
        task = asyncio.create_task(reconciler.run())
        try:
            yield connection
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[DagsterConnection]:
    if settings.dagster_url is not None:
        api = DagsterApi.over_http(settings.dagster_url)
        try:
            yield DagsterConnection(api, ui=None)
        finally:
            await api.close()
        return
    mount = await to_thread.run_sync(_mount, settings)
    api = DagsterApi.in_process(mount)
    try:
        yield DagsterConnection(api, ui=mount.app)
    finally:
        await api.close()
        await to_thread.run_sync(mount.close)


def _mount(settings: Settings) -> DagsterMount:
    if not (settings.dagster_home / "dagster.yaml").exists():
        prepare_instance(settings)  # Started alone on a new home: nobody has done it yet.
    return create_dagster_app(settings)
