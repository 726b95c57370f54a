"""What stands before the GCS emulator to do what it does not: preconditions, tokens, refusals, broken connections."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from ingestion_tests.servers.gcs import FakeGcs

_STALL_SECONDS = 20.0
_PIECE = 64 << 10
_SKIPPED = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})


class GcsFront:
    """Passes requests on to an emulator; use it as a context manager. The fields say what it does to them.

    `cuts`: after how many bytes each of the next downloads is broken off. `stalls_after`: bytes after which downloads
    say nothing more. `refusals`: the statuses of the next requests. `token`: what requests have to bear.
    `page_size`: how many objects a page of a listing has at most. `decompresses`: sends objects stored with gzip in
    the clear, whatever range is wanted, as a proxy may.
    """

    def __init__(self, behind: FakeGcs) -> None:
        self.behind = behind
        self.cuts: deque[int] = deque()
        self.stalls_after: int | None = None
        self.refusals: deque[int] = deque()
        self.token: str | None = None
        self.decompresses = False
        self.latency_seconds = 0.0
        self.page_size: int | None = None
        self.ranges: list[str | None] = []
        self.listings: list[Mapping[str, list[str]]] = []
        self.most_at_once = 0
        self.released = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def endpoint(self) -> str:
        """What a source's `endpoint` is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def entered(self, change: int) -> None:
        """Note that a download begins (1) or ends (-1)."""
        with self._lock:
            self._at_once += change
            self.most_at_once = max(self.most_at_once, self._at_once)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(_Handler):
            pass

        Handler.front = front
        return Handler


class _Handler(BaseHTTPRequestHandler):
    front: GcsFront
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        front = self.front
        if front.latency_seconds:
            time.sleep(front.latency_seconds)
        if front.token is not None and self.headers.get("Authorization") != f"Bearer {front.token}":
            self._refuse(401)
        elif front.refusals:
            self._refuse(front.refusals.popleft())
        elif "alt=media" in self.path:
            front.entered(1)
            try:
                self._media()
            finally:
                front.entered(-1)
        else:
            front.listings.append(parse_qs(urlsplit(self.path).query))
            page = f"&maxResults={front.page_size}" if front.page_size else ""
            self._send(*self._behind(self.path + page, {}))

    def _media(self) -> None:
        front = self.front
        front.ranges.append(self.headers.get("Range"))
        if not self._is_wanted_generation():
            self._refuse(412)
            return
        wanted = {name: self.headers[name] for name in ("Range", "Accept-Encoding") if name in self.headers}
        if front.decompresses:
            wanted.pop("Range", None)
        status, headers, body = self._behind(self.path, wanted)
        if front.decompresses and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        cut = front.cuts.popleft() if front.cuts else front.stalls_after
        if cut is None or cut >= len(body):
            self._send(status, headers, body)
            return
        self._head(status, headers, len(body))
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if front.stalls_after is not None:
            front.released.wait(_STALL_SECONDS)
        self.close_connection = True

    def _is_wanted_generation(self) -> bool:
        parts = urlsplit(self.path)
        wanted = parse_qs(parts.query).get("ifGenerationMatch")
        if not wanted:
            return True
        status, _, body = self._behind(parts.path.removeprefix("/download"), {})
        return status == 200 and json.loads(body)["generation"] == wanted[0]

    def _behind(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.front.behind.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "identity", **headers})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _refuse(self, status: int) -> None:
        message = {"code": status, "message": f"refused with {status}"}
        self._send(status, {"Content-Type": "application/json"}, json.dumps({"error": message}).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._head(status, headers, len(body))
        for start in range(0, len(body), _PIECE):
            self.wfile.write(body[start : start + _PIECE])

    def _head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _SKIPPED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            """The client has gone away."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the tests' output quiet."""
