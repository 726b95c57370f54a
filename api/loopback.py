"""Guards Dagster's web app, which has no login: only pages of this very machine may speak to it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import error_response


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, is this machine's own."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class LoopbackOnly:
    """Refuses requests for another host (DNS rebinding) and requests that another site's page makes.

    Without the second rule any page could start runs here: Dagster's GraphQL takes mutations from plain forms.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in ("http", "websocket") and not is_local_request(Headers(scope=scope)):
            await _refuse(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_local_request(headers: Headers) -> bool:
    """Whether Host, and Origin if there is one, name this machine, and no foreign page is behind the request."""
    origin = headers.get("origin")
    is_foreign_page = headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
    return (
        is_loopback(_host_of("//" + headers.get("host", "")))
        and (origin is None or is_loopback(_host_of(origin)))
        and not is_foreign_page
    )


def _host_of(address: str) -> str:
    if "@" in address:
        return ""  # A user name before the host is no part of a Host or Origin header, only of a trick.
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    message = "Dagster's web app answers only on this machine, to pages of this machine"
    response = error_response(Request(scope, receive), "PERMISSION_DENIED", message)
    await response(scope, receive, send)
