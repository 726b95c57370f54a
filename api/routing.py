"""From the table of endpoints to Starlette's routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.datastructures import URLPath
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.endpoint import Endpoint

DAGSTER_PREFIX = "/dagster"


def endpoint_routes(base_path: str, endpoints: Sequence[Endpoint]) -> list[BaseRoute]:
    """One route per path, in the table's order, with and without a slash at the end.

    A method that the path does not have is refused with all those it has, so they share one route.
    """
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [
        Route(base_path + spelling, _handler(methods), methods=list(methods), name=path)
        for path, methods in by_path.items()
        for spelling in _spellings(path)
    ]


def _spellings(path: str) -> Sequence[str]:
    # The end of an object's name is part of the name.
    return (path,) if path.endswith(":path}") else (path, path + "/")


def _handler(methods: Mapping[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method].answer(request)

    return handle


class DagsterRoute(BaseRoute):
    """Dagster's web app. It knows its own prefix, so its paths are passed on as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Everything below the prefix, HTTP and websockets."""
        path = scope.get("path", "")
        is_below = path == DAGSTER_PREFIX or path.startswith(DAGSTER_PREFIX + "/")
        return (Match.FULL if is_below else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """No names from here."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._app(scope, receive, send)
