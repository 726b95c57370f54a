"""An HTTP server that pages its rows in every style, and fails when it is told to."""

from __future__ import annotations

import asyncio
import base64
import collections
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import pyarrow as pa
from aiohttp import web

from ingestion_tests.servers.certificates import self_signed

Row = Mapping[str, Any]
Handler = Callable[[web.Request], Any]
PAGE = 100


@dataclass
class Seen:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class HttpApi:
    """A server on a free port. `rows` is what its paths page; `scripted` are answers given instead, one each.

    `tokens` are what the token endpoint gives out, good for `token_seconds`.
    """

    rows: Sequence[Row] = ()
    tls_folder: Path | None = None
    seen: list[Seen] = field(default_factory=list)
    scripted: dict[str, collections.deque[Handler]] = field(
        default_factory=lambda: collections.defaultdict(collections.deque)
    )
    always: dict[str, Handler] = field(default_factory=dict)
    token_seconds: float = 3600.0
    required: Callable[[web.Request], bool] | None = None
    tokens: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="http-api", daemon=True)
        self._thread.start()
        assert started.wait(20)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        scheme = "http" if self.tls_folder is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def reset(self, rows: Sequence[Row] = ()) -> None:
        """As if just started."""
        self.rows = rows
        self.seen.clear()
        self.scripted.clear()
        self.always.clear()
        self.tokens.clear()
        self.required = None
        self.token_seconds = 3600.0

    def asked(self, path: str) -> list[Seen]:
        """The requests for one path."""
        return [seen for seen in self.seen if seen.path == path]

    def has_token(self, request: web.Request) -> bool:
        """Whether the request carries a token of this server that is still good."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.tokens.get(token, 0.0) > time.monotonic()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(started))
        finally:
            pending = asyncio.all_tasks(self._loop)  # Slow answers that nobody waits for any more.
            for task in pending:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._stopped = asyncio.Event()
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        context: ssl.SSLContext | None = None
        if self.tls_folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self_signed(self.tls_folder))
        await web.SockSite(runner, listener, ssl_context=context).start()
        started.set()
        await self._stopped.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        query = dict(request.query)
        self.seen.append(Seen(request.method, request.path, query, dict(request.headers), body, time.monotonic()))
        if request.path == "/token":
            return self._token(request, body)
        if self.required is not None and not self.required(request):
            return web.json_response({"error": "who are you"}, status=401)
        handler: Handler | None = None
        if self.scripted[request.path]:
            handler = self.scripted[request.path].popleft()
        else:
            handler = self.always.get(request.path)
        if handler is None:
            style = STYLES.get(request.path.strip("/"))
            if style is None:
                return web.json_response({"error": "no such path"}, status=404)
            return style(self.rows, request, body)
        answer: Any = handler(request)
        response: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
        return response

    def _token(self, request: web.Request, body: bytes) -> web.Response:
        form = dict(parse_qsl(body.decode()))
        sent = request.headers.get("Authorization", "")
        if sent.startswith("Basic "):
            form["client_id"], form["client_secret"] = base64.b64decode(sent[6:]).decode().split(":", 1)
        if (form.get("client_id"), form.get("client_secret")) != ("me", "s3cret-value"):
            return web.json_response({"error": "invalid_client", "error_description": f"not {form}"}, status=401)
        token = f"token-{len(self.tokens) + 1}-of-many"
        self.tokens[token] = time.monotonic() + self.token_seconds
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds})


# --- styles -------------------------------------------------------------------------------------


def _slice(rows: Sequence[Row], start: int, size: int) -> Sequence[Row]:
    return rows[start : start + size]


def _by_page(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    page, size = int(request.query.get("page", "1")), int(request.query.get("page_size", PAGE))
    found = _slice(rows, (page - 1) * size, size)
    return web.json_response({"page": page, "pages": -(-len(rows) // size), "data": found})


def _by_bare_page(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    """Nothing but rows, and 404 after the last page."""
    page, size = int(request.query["p"]), int(request.query.get("page_size", PAGE))
    found = _slice(rows, page * size, size)
    return web.json_response(found) if found else web.json_response({"detail": "Invalid page."}, status=404)


def _by_offset(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    """At most PAGE rows, whatever is asked for."""
    start, limit = int(request.query.get("offset", "0")), min(int(request.query.get("limit", PAGE)), PAGE)
    return web.json_response({"items": _slice(rows, start, limit), "offset": start, "limit": limit, "total": len(rows)})


def _by_cursor(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    sent = request.query.get("cursor") if request.method == "GET" else json.loads(body).get("after")
    start = int(sent or 0)
    following = start + PAGE
    cursor = str(following) if following < len(rows) else None
    return web.json_response({"results": _slice(rows, start, PAGE), "meta": {"next_cursor": cursor}})


def _by_link(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    start = int(request.query.get("after", "0"))
    answer = web.json_response(_slice(rows, start, PAGE))
    if start + PAGE < len(rows):
        answer.headers["Link"] = f'</link?after={start + PAGE}>; rel="next", </link>; rel="first"'
    return answer


def _by_next(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    start = int(request.query.get("start", "0"))
    link = f"?start={start + PAGE}" if start + PAGE < len(rows) else None
    return web.json_response({"value": _slice(rows, start, PAGE), "links": {"next": link}})


def _by_key(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    after = int(request.query.get("starting_after", "-1"))
    found = [row for row in rows if row["id"] > after][:PAGE]
    return web.json_response({"data": found, "has_more": bool(found) and found[-1]["id"] < rows[-1]["id"]})


def _graphql(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    variables = json.loads(body)["variables"]
    start = int(variables.get("after") or 0)
    found = _slice(rows, start, PAGE)
    info = {"hasNextPage": start + PAGE < len(rows), "endCursor": str(start + len(found))}
    return web.json_response({"data": {"things": {"edges": [{"node": row} for row in found], "pageInfo": info}}})


def _xml(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    page = int(request.query.get("page", "1"))
    records = "".join(
        f"<row><id>{row['id']}</id><name>{row['name']}</name></row>" for row in _slice(rows, (page - 1) * PAGE, PAGE)
    )
    return web.Response(text=f"<?xml version='1.0'?><rows>{records}</rows>", content_type="application/xml")


def _ndjson(rows: Sequence[Row], request: web.Request, body: bytes) -> web.Response:
    return web.Response(body=b"\n".join(json.dumps(row).encode() for row in rows), content_type="application/x-ndjson")


STYLES: Mapping[str, Callable[[Sequence[Row], web.Request, bytes], web.Response]] = {
    "page": _by_page,
    "bare": _by_bare_page,
    "offset": _by_offset,
    "cursor": _by_cursor,
    "link": _by_link,
    "next": _by_next,
    "keyset": _by_key,
    "graphql": _graphql,
    "xml": _xml,
    "ndjson": _ndjson,
}


# --- answers on demand --------------------------------------------------------------------------


def status(code: int, text: str = "", **headers: str) -> Handler:
    """An answer of that status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: web.Response(status=code, text=text, headers=named)


def document(value: Any, **headers: str) -> Handler:
    """A JSON document."""
    return lambda request: web.json_response(value, headers=headers)


def text(body: str | bytes, content_type: str = "application/json") -> Handler:
    """Any body."""
    data = body.encode() if isinstance(body, str) else body
    return lambda request: web.Response(body=data, headers={"Content-Type": content_type})


def compressed(body: bytes, encoding: str) -> Handler:
    """A JSON body compressed as its Content-Encoding says."""
    codec = {"gzip": "gzip", "br": "brotli", "zstd": "zstd"}[encoding]
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(body)
    data = sink.getvalue().to_pybytes() if encoding != "gzip" else gzip.compress(body)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    return lambda request: web.Response(body=data, headers=headers)


def cut(body: bytes, at: int) -> Handler:
    """A body whose connection breaks after `at` bytes of it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[:at])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def slow(seconds: float, then: Handler) -> Handler:
    """The answer `then`, after so long."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        result: web.StreamResponse = then(request)
        return result

    return answer
