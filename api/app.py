"""The application: what answers at which address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from api.backend import open_backend
from api.dagster_port import DagsterPort
from api.endpoint import BASE_PATH
from api.errors import EXCEPTION_HANDLERS
from api.loopback import LoopbackOnly, is_loopback
from api.request_id import RequestIdMiddleware
from api.routes.docs import docs_routes
from api.routes.health import healthz, readyz
from api.routing import DagsterRoute, endpoint_routes
from api.table import ENDPOINTS
from ingestion.settings import Settings
from ingestion.store import Store


def create_app(settings: Settings, *, store: Store | None = None, dagster: DagsterPort | None = None) -> Starlette:
    """The REST API with its documentation and, on a loopback address, Dagster's web app below /dagster.

    Opens everything when it starts and closes it when it stops; a store and a Dagster that are given stay open.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_backend(settings, store, dagster) as backend:
            app.state.backend = backend
            if backend.ui is not None and is_loopback(settings.host):
                app.router.routes.append(DagsterRoute(LoopbackOnly(backend.ui)))
            yield

    routes: Sequence[BaseRoute] = [
        *endpoint_routes(BASE_PATH, ENDPOINTS),
        *docs_routes(),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(RequestIdMiddleware)],
        exception_handlers=dict(EXCEPTION_HANDLERS),
        lifespan=lifespan,
    )
    # Redirects would turn a POST into a GET; both spellings of a path are routes instead.
    app.router.redirect_slashes = False
    return app
