"""Health: alive, and ready with every part named."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ingestion.errors import ServiceUnavailable
from ingestion.processes.sockets import LAUNCHER_SOCKET, socket_path
from ingestion.settings import Settings
from ingestion_tests.api.live import Live, live


@contextmanager
def launcher(settings: Settings) -> Iterator[None]:
    """A process that answers pings as the launcher does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_path(settings, LAUNCHER_SOCKET)))
        listener.listen()

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection, connection.makefile("rw") as stream:
                    request = json.loads(stream.readline())
                    if request["op"] == "stop":
                        return
                    stream.write(json.dumps({"ok": request["op"] == "ping"}) + "\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
                last.connect(str(socket_path(settings, LAUNCHER_SOCKET)))
                last.sendall(b'{"op": "stop"}\n')
            thread.join()


def test_alive(service: Live) -> None:
    answer = httpx.get(f"{service.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_every_part_is_there(service: Live) -> None:
    with launcher(service.settings):
        answer = httpx.get(f"{service.url}/readyz")
    ready = {"status": "ready", "parts": {"store": "ok", "code_location": "ok", "launcher": "ok"}}
    assert (answer.status_code, answer.json()) == (200, ready)


def test_the_missing_part_is_named(service: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer() -> None:
        raise ServiceUnavailable("the database does not answer")

    monkeypatch.setattr(service.store, "ping", no_answer)
    monkeypatch.setattr(service.dagster, "problem", "SyntaxError\n  at line 1")
    answer = httpx.get(f"{service.url}/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    body = answer.json()
    assert body["status"] == "not ready"
    assert body["parts"]["store"] == "the database does not answer"
    assert body["parts"]["code_location"] == "SyntaxError"
    assert "does not answer" in body["parts"]["launcher"]


def test_a_webserver_elsewhere_has_its_own_launcher(tmp_path: Path) -> None:
    with live(tmp_path / "home", dagster_url="http://dagster.example.com") as service:
        assert httpx.get(f"{service.url}/readyz").json()["parts"] == {"store": "ok", "code_location": "ok"}
