"""Every request has an id: in its answer, in all log lines about it, and on the run it starts."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import answer_unexpected_error

HEADER = "X-Request-ID"
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")
_SAFE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

access = logging.getLogger("ingestion.api.access")


class RequestIdFilter(logging.Filter):
    """Puts the current request's id on log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        record.request_id = current_request_id.get()
        return True


class RequestIdMiddleware:
    """Names the request, logs its outcome, and answers when everything inside has failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(Headers(scope=scope))
        token = current_request_id.set(request_id)
        try:
            await self._named(request_id, scope, receive, send)
        finally:
            current_request_id.reset(token)

    async def _named(self, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        status, started = 0, time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, named)
        except ClientDisconnect:
            access.info("%s %s: the client went away", scope["method"], scope["path"])
            return
        except Exception as error:
            if status:
                raise  # Half an answer is out; only breaking the connection tells the client.
            response = answer_unexpected_error(Request(scope, receive), error)
            await response(scope, receive, named)
        # The path only: a query could hold what does not belong in a log.
        milliseconds = (time.perf_counter() - started) * 1000
        access.info("%s %r %d %.1f ms", scope["method"], scope["path"], status, milliseconds)


def request_id_of(headers: Headers) -> str:
    """The id the client gave, if it is safe to repeat; else a new one."""
    given = headers.get(HEADER.lower(), "")
    return given if _SAFE.fullmatch(given) else str(uuid.uuid4())
