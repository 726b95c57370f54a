"""The service's processes, and the ways each shows that it is ready."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestion import __version__
from ingestion.processes.listener import LISTENER_VARIABLE
from ingestion.processes.stack import accepts, answers, command, replies, service_specs
from ingestion.settings import Settings
from ingestion_tests.orchestration.deployment import short_home


@contextmanager
def listening(path: Path, reply: bytes | None = None) -> Iterator[None]:
    """A unix socket that accepts, and answers one request if it has a reply."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.recv(64)
                connection.sendall(reply or b"")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
                last.settimeout(1)
                if thread.is_alive():
                    last.connect(str(path))
            thread.join()


def test_everything_starts_after_what_it_needs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        specs = service_specs(Settings(home=short_home(tmp_path)), listener)
        api = specs[-1]
        assert api.descriptors == (listener.fileno(),)
        assert api.environment == {LISTENER_VARIABLE: str(listener.fileno())}

    names = [spec.name for spec in specs]
    assert names == ["migrate", "launcher", "code-server", "daemon", "api"]
    for index, spec in enumerate(specs):
        assert set(spec.after) <= set(names[:index])
        assert spec.argv[-1] == spec.name
    assert [spec.name for spec in specs if spec.once] == ["migrate"]


def test_accepting_is_enough_for_one_and_an_answer_is_needed_by_the_other(tmp_path: Path) -> None:
    path = short_home(tmp_path) / "x.sock"
    assert not accepts(path)()
    assert not replies(path, b"ping\n")()

    with listening(path):
        assert not replies(path, b"ping\n")()
    path.unlink()
    with listening(path, b"pong"):
        assert replies(path, b"ping\n")()
    path.unlink()
    with listening(path):
        assert accepts(path)()


def test_only_a_200_is_ready() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        port = server.server_port
        found = [answers(host, port, "/readyz")() for host in ("127.0.0.1", "localhost", "0.0.0.0")]
        refused = answers("127.0.0.1", port, "/other")()
        server.shutdown()
        thread.join()
    assert (found, refused) == ([True, True, True], False)
    assert not answers("127.0.0.1", port, "/readyz")()


def test_a_module_in_the_current_folder_does_not_shadow_a_library(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('shadowed')")
    done = subprocess.run(command("version"), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, __version__, "")
