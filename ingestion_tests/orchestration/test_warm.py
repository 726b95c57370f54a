"""The launcher's server: what it answers, and that nothing it is asked ends it or outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingestion.orchestration.warm import PRELOADED, WarmServer
from ingestion.orchestration.worker import RunRequest
from ingestion_tests.orchestration.deployment import eventually


class Launcher:
    """A server with stand-ins for its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "launcher.sock"
        command = [sys.executable, "-m", "ingestion_tests.orchestration.stand_in_launcher", str(self.socket)]
        self.process = subprocess.Popen(command)
        eventually(self.socket.exists)

    def ask(self, message: Any) -> dict[str, Any]:
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(20)
            connection.connect(str(self.socket))
            connection.sendall(line + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
            return answer

    def start(self, run_id: str) -> dict[str, Any]:
        request = RunRequest(run_id, "{}", str(self.folder / run_id))
        return self.ask({"op": "start", **request.to_message()})

    def works(self, run_id: str) -> psutil.Process:
        """A worker that has got as far as its work."""
        worker = psutil.Process(self.start(run_id)["pid"])
        eventually((self.folder / run_id).exists)
        return worker

    def workers(self) -> int:
        return int(self.ask({"op": "ping"})["workers"])

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        running = Launcher(Path(folder))
        workers: list[psutil.Process] = []
        try:
            yield running
            workers = psutil.Process(running.process.pid).children() if running.process.poll() is None else []
        finally:
            for worker in workers:
                worker.kill()
            running.process.kill()
            running.process.wait()


def test_what_it_answers_to_nonsense(launcher: Launcher) -> None:
    for message in (b"{", b"", b"[]", b"\xff", {"op": "start"}, {"op": "start", "run_id": 5}):
        answer = launcher.ask(message)
        assert (answer["ok"], answer["error"].split(":")[0]) == (False, "not a request"), message
    assert launcher.ask({"op": "dance"}) == {"ok": False, "error": "unknown operation 'dance'"}


def test_a_run_has_one_worker_until_that_ends(launcher: Launcher) -> None:
    worker = launcher.works("waits")
    assert launcher.start("waits") == {"ok": False, "error": "run waits already has a worker"}
    assert launcher.start("ends")["ok"]
    eventually(lambda: launcher.workers() == 1)

    worker.terminate()

    eventually(lambda: launcher.workers() == 0)
    (launcher.folder / "waits").unlink()


def test_it_refuses_to_fork_beside_other_threads() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with tempfile.TemporaryDirectory(prefix="ing-") as folder:
            server = WarmServer(Path(folder) / "launcher.sock", None)
            with pytest.raises(RuntimeError, match="one thread"):
                server.serve()
            assert (Path(folder) / "launcher.sock").stat().st_mode & 0o077 == 0, "its socket is for this user alone"
            server._close_in_worker()
            os.close(server._wakeup_writer)
    finally:
        end.set()
        thread.join()


def test_what_a_run_needs_is_imported_before() -> None:
    assert {"ingestion.definitions", "dagster_postgres", "duckdb", "pyarrow"} <= set(PRELOADED)


def test_a_stop_takes_the_workers_along(launcher: Launcher) -> None:
    """The last one, since it ends the launcher."""
    assert "no worker process can be made" in launcher.start("unforkable")["error"], "and it still hears of its stop"
    workers = [launcher.works(run_id) for run_id in ("waits", "stubborn")]

    assert launcher.end(signal.SIGTERM) == 0

    assert not any(worker.is_running() for worker in workers)
    assert not launcher.socket.exists()
