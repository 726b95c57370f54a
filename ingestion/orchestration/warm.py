"""The launcher process: everything is imported and warm, and each run gets a fork of it.

Starting an interpreter and importing Dagster takes seconds, a fork takes milliseconds. The price is discipline:
before a fork this process has one Python thread and no database, gRPC or network handle. The native helper threads
of numpy and Arrow, which never run Python, are remade after a fork by these libraries themselves.

The protocol is one JSON object a line over a unix socket: `{"op": "start", ...RunRequest}` answers
`{"ok": true, "pid": ...}`; `{"op": "ping"}` answers the number of live workers. Everything else about a worker
(health, termination) goes by its pid, so it does not need this process to be there.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import logging
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from ingestion.google_credentials import has_default_credentials
from ingestion.orchestration.instance import export_settings
from ingestion.orchestration.worker import TERMINATION_GRACE_SECONDS, RunRequest, work
from ingestion.processes.lifeline import lifeline_fd
from ingestion.processes.sockets import LAUNCHER_SOCKET, socket_path
from ingestion.settings import Settings

PRELOADED: Sequence[str] = (
    "dagster._cli.api",
    "dagster._core.events",
    "dagster._core.execution.api",
    "dagster._core.executor.in_process",
    "dagster._core.run_coordinator",
    "dagster._core.storage.event_log",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.runs",
    "dagster._core.storage.schedules",
    "dagster_postgres",
    "duckdb",
    "ingestion.definitions",
    "ingestion.orchestration.launcher",
    "ingestion.orchestration.sqlite_storage",
    "psycopg",
    "pyarrow",
    "pyarrow.parquet",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)

# DuckDB imports it, where it is installed, at its first statement with parameters: a second in each run.
PRELOADED_IF_INSTALLED: Sequence[str] = ("pandas",)

# Two seconds and 45 MB, which deployments without Google need not spend.
PRELOADED_FOR_GOOGLE: Sequence[str] = ("google.cloud.storage", "ingestion.orchestration.google_resources")

_REQUEST_SECONDS = 5.0
_LARGEST_REQUEST_BYTES = 1 << 20
_EXIT_MARGIN_SECONDS = 2.0

logger = logging.getLogger("ingestion.launcher")


def warm_up(more: Sequence[str] = ()) -> None:
    """Import what runs need, execute one throw-away run in memory, and freeze the heap for sharing."""
    installed = [name for name in PRELOADED_IF_INSTALLED if importlib.util.find_spec(name) is not None]
    for module in (*PRELOADED, *installed, *more):
        importlib.import_module(module)

    @dg.op
    def nothing() -> None:
        """Touch every lazily made part of an execution."""

    @dg.job(executor_def=dg.in_process_executor)
    def warm_up_job() -> None:
        nothing()

    with dg.DagsterInstance.ephemeral() as instance:
        warm_up_job.execute_in_process(instance=instance)
    gc.collect()
    gc.freeze()


class WarmServer:
    """Forks workers on request until it is told to stop, by SIGTERM, SIGINT or the end of the lifeline.

    Stopping takes the live workers along: SIGTERM, and SIGKILL after their grace. If this process is killed
    instead, its workers go on and end by themselves.
    """

    def __init__(self, socket_file: Path, lifeline: int | None) -> None:
        self._socket_file = socket_file
        self._lifeline = lifeline
        self._workers: dict[int, str] = {}
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._wakeup_reader, self._wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup_reader, False)
        os.set_blocking(self._wakeup_writer, False)
        self._listener = _listen(socket_file)

    def serve(self) -> None:
        """Block until stopped; no worker is left when this returns."""
        if threading.active_count() > 1:
            raise RuntimeError(f"a fork is only safe in a process with one thread, not {threading.enumerate()}")
        self._handle_signals()
        self._selector.register(self._listener, selectors.EVENT_READ, self._answer)
        self._selector.register(self._wakeup_reader, selectors.EVENT_READ, self._drain_wakeup)
        if self._lifeline is not None:
            self._selector.register(self._lifeline, selectors.EVENT_READ, self._read_lifeline)
        logger.info("ready at %s", self._socket_file)
        while not self._stopping:
            self._turn(timeout=None)
        self._stop_workers()

    def _turn(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()
        self._reap()

    def _handle_signals(self) -> None:
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _drain_wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup_reader, 4096)

    def _read_lifeline(self) -> None:
        assert self._lifeline is not None
        if not os.read(self._lifeline, 64):
            self._selector.unregister(self._lifeline)
            self._stopping = True

    def _answer(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # Whoever asked has gone away.
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            try:
                reply = self._reply(connection)
                connection.sendall(json.dumps(reply).encode() + b"\n")
            except OSError as error:
                logger.warning("a request could not be answered: %s", error)

    def _reply(self, connection: socket.socket) -> dict[str, Any]:
        try:
            return self._reply_to(_read_request(connection))
        except ValueError as error:
            return {"ok": False, "error": f"not a request: {error}"}

    def _reply_to(self, message: dict[str, Any]) -> dict[str, Any]:
        match message.pop("op", None):
            case "ping":
                return {"ok": True, "pid": os.getpid(), "workers": len(self._workers)}
            case "start":
                return self._start(RunRequest.from_message(message))
            case unknown:
                return {"ok": False, "error": f"unknown operation {unknown!r}"}

    def _start(self, request: RunRequest) -> dict[str, Any]:
        if self._stopping:
            return {"ok": False, "error": "the launcher is stopping"}
        if request.run_id in self._workers.values():
            return {"ok": False, "error": f"run {request.run_id} already has a worker"}
        # A signal between fork and the worker's own handlers would run ours, in the worker.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        try:
            pid = os.fork()
            if pid == 0:
                work(request, self._close_in_worker)
        except OSError as error:
            return {"ok": False, "error": f"no worker process can be made: {error.strerror}"}
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        self._workers[pid] = request.run_id
        logger.info("run %s has worker %d", request.run_id, pid)
        return {"ok": True, "pid": pid}

    def _close_in_worker(self) -> None:
        self._selector.close()
        self._listener.close()
        os.close(self._wakeup_reader)
        # The writer stays open until the worker has unset it as its wakeup descriptor.

    def _reap(self) -> None:
        for pid, run_id in list(self._workers.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._workers[pid]
                logger.info("worker %d of run %s ended with %d", pid, run_id, os.waitstatus_to_exitcode(status))

    def _stop_workers(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            self._socket_file.unlink()
        self._signal_workers(signal.SIGTERM)
        deadline = time.monotonic() + TERMINATION_GRACE_SECONDS + _EXIT_MARGIN_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._turn(timeout=0.2)
        self._signal_workers(signal.SIGKILL)
        while self._workers:
            self._turn(timeout=0.2)

    def _signal_workers(self, number: int) -> None:
        # Not reaped yet, so the pid is still that worker's.
        for pid in self._workers:
            os.kill(pid, number)


def _listen(socket_file: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        socket_file.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(socket_file))
    socket_file.chmod(0o600)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def _read_request(connection: socket.socket) -> dict[str, Any]:
    with connection.makefile("rb") as stream:
        message = json.loads(stream.readline(_LARGEST_REQUEST_BYTES))
    if not isinstance(message, dict):
        raise ValueError("a request is a JSON object")
    return message


def _speaks_to_google(settings: Settings) -> bool:
    """Whether the deployment as a whole does; that a single source does is not known here."""
    if settings.warehouse == "bigquery" or settings.gcs_endpoint or os.environ.get("STORAGE_EMULATOR_HOST"):
        return True
    return has_default_credentials(settings.google_credentials)


def run_launcher(settings: Settings) -> None:
    """Warm up, then start workers until SIGTERM, SIGINT or the end of the supervisor."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("ingestion").setLevel(logging.INFO)
    export_settings(settings)
    warm_up(PRELOADED_FOR_GOOGLE if _speaks_to_google(settings) else ())
    WarmServer(socket_path(settings, LAUNCHER_SOCKET), lifeline_fd()).serve()
