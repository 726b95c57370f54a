"""What the endpoints work with, opened and closed with the application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from anyio import to_thread
from starlette.types import ASGIApp

from api.auth.bearer import verifier_for
from api.auth.verify import Verifier
from api.dagster_connection import connect
from api.dagster_port import DagsterPort
from api.refresh import Refresher
from api.reloads import Reloads
from api.services.executions import ExecutionService
from api.services.pipelines import PipelineService
from api.services.quarantine import QuarantineService
from api.services.sources import SourceService
from api.services.state import StateService
from api.source_calls import SourceCalls
from ingestion.orchestration.reconciler import LOOK_SECONDS
from ingestion.orchestration.services import Services
from ingestion.settings import Settings
from ingestion.store import Store
from ingestion.warehouses import open_warehouse


@dataclass(frozen=True)
class Backend:
    """The services of one application. `ui` is Dagster's web app, when it runs in this process."""

    settings: Settings
    store: Store
    dagster: DagsterPort
    verifier: Verifier
    reloads: Reloads
    source_calls: SourceCalls
    refresher: Refresher
    sources: SourceService
    pipelines: PipelineService
    executions: ExecutionService
    quarantine: QuarantineService
    state: StateService
    ui: ASGIApp | None = None


@asynccontextmanager
async def open_backend(
    settings: Settings, store: Store | None = None, dagster: DagsterPort | None = None
) -> AsyncIterator[Backend]:
    """Everything opened in order, and closed in the opposite one. What is given is used and stays open."""
    async with AsyncExitStack() as stack:
        if store is None:
            store = await to_thread.run_sync(_open_store, settings)
            stack.callback(store.close)
        ui = None
        if dagster is None:
            connected = await stack.enter_async_context(connect(settings, store))
            dagster, ui = connected.api, connected.ui
        backend = await to_thread.run_sync(_assembled, settings, store, dagster, ui)
        await stack.enter_async_context(_running(backend.reloads))
        yield backend


def _assembled(settings: Settings, store: Store, dagster: DagsterPort, ui: ASGIApp | None) -> Backend:
    deployment = Services(settings)
    warehouse = open_warehouse(settings, LOOK_SECONDS)
    refresher = Refresher(store, dagster, warehouse)
    return Backend(
        settings=settings,
        store=store,
        dagster=dagster,
        verifier=verifier_for(settings),
        reloads=Reloads(dagster),
        source_calls=SourceCalls(),
        refresher=refresher,
        sources=SourceService(store, deployment.connector),
        pipelines=PipelineService(store),
        executions=ExecutionService(store, dagster, refresher.refreshed, settings.sync_limit_seconds),
        quarantine=QuarantineService(store, warehouse),
        state=StateService(store, warehouse),
        ui=ui,
    )


def _open_store(settings: Settings) -> Store:
    settings.home_dir.mkdir(parents=True, exist_ok=True)
    store = Store.open(settings.store_url)
    if not store.is_current():
        store.migrate()
    return store


@asynccontextmanager
async def _running(reloads: Reloads) -> AsyncIterator[None]:
    task = asyncio.create_task(reloads.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
