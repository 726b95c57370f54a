"""The whole service as a user starts it: `ingestion up` on a free port with a home of its own."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

BASE_PATH = "/api/v1/ingestion"
ADMIN = "admin@example.com"
START_LIMIT_SECONDS = 200.0
FINAL = ("SUCCESS", "FAILED")
CHILDREN = ("launcher", "code-server", "daemon", "api")


@dataclass
class Stack:
    """A running service. `environment` holds only what it was given beside the home."""

    home: Path
    process: subprocess.Popen[bytes]
    url: str
    environment: Mapping[str, str]
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def api_url(self) -> str:
        return self.url + BASE_PATH

    def token(self, role: str = "admin", *more: str) -> str:
        """A token as a user gets one, from the command line."""
        key = " ".join([role, *more])
        if key not in self._tokens:
            command = [sys.executable, "-m", "ingestion", "token", "--home", str(self.home), "--role", role]
            answer = subprocess.run(
                [*command, "--subject", ADMIN, *more], check=True, capture_output=True, env=self.child_environment()
            )
            self._tokens[key] = answer.stdout.decode().strip()
        return self._tokens[key]

    def client(self, role: str = "admin") -> httpx.Client:
        """An HTTP client of the API with a token of that role."""
        headers = {"Authorization": f"Bearer {self.token(role)}"}
        return httpx.Client(base_url=self.api_url, headers=headers, timeout=60)

    def child_environment(self) -> dict[str, str]:
        return clean_environment() | dict(self.environment)

    def children(self) -> dict[str, psutil.Process]:
        """The service's processes by their subcommand."""
        return {
            name: child
            for child in psutil.Process(self.process.pid).children()
            for name in CHILDREN
            if name in _command_line(child)
        }

    def put_object(self, bucket: str, name: str, content: str | bytes) -> Path:
        """Write an object into a bucket folder of the embedded default."""
        path = self.home / "buckets" / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def put_rows(self, bucket: str, name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
        """Write rows as a CSV object."""
        path = self.put_object(bucket, name, "")
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def wait_ready(self, limit: float = START_LIMIT_SECONDS) -> None:
        wait_ready(self.process, self.home, limit)

    def stop(self) -> int:
        """Ctrl-C, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []  # It ended just now, and may still be a zombie.


def clean_environment() -> dict[str, str]:
    """The test process's environment without anything that configures the service or Google clients."""
    hidden = ("INGESTION_", "DAGSTER_", "GOOGLE_", "STORAGE_EMULATOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**kept, "NO_GCE_CHECK": "true"}  # The machine may be Google's own.


def start_stack(home: Path, *arguments: str, **environment: str) -> Stack:
    """Start `ingestion up` and wait until executions can start and the daemon, which comes last, runs."""
    command = [sys.executable, "-m", "ingestion", "up", "--home", str(home), "--port", "0", *arguments]
    with (home.parent / f"{home.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=clean_environment() | environment, start_new_session=True
        )
    try:
        url = wait_ready(process, home, START_LIMIT_SECONDS)
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        raise
    stack = Stack(home=home, process=process, url=url, environment=environment)
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while set(stack.children()) != set(CHILDREN):
        assert time.monotonic() < deadline, f"only {sorted(stack.children())} run"
        time.sleep(0.05)
    return stack


def wait_ready(process: subprocess.Popen[bytes], home: Path, limit: float) -> str:
    """The service's address once GET /readyz answers 200."""
    deadline = time.monotonic() + limit
    address = home / "run" / "api.url"
    answer = "nothing yet"
    while time.monotonic() < deadline and process.poll() is None:
        if address.exists():
            url = address.read_text().strip()
            try:
                response = httpx.get(url + "/readyz", timeout=5)
            except httpx.HTTPError as error:
                answer = repr(error)
            else:
                answer = response.text
                if response.status_code == 200:
                    return url
        time.sleep(0.1)
    output = (home.parent / f"{home.name}.log").read_text(errors="replace")[-3000:]
    logs = "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in (home / "logs").glob("*.log"))
    raise AssertionError(f"not ready after {limit} s (exit {process.poll()}, /readyz {answer})\n{output}\n{logs}")


def wait_for(client: httpx.Client, execution_id: str, *statuses: str, limit: float = 90) -> dict[str, Any]:
    """The execution once it has one of these statuses."""
    deadline = time.monotonic() + limit
    while True:
        data: dict[str, Any] = client.get(f"/executions/{execution_id}").json()["data"]
        if data["status"] in statuses:
            return data
        assert time.monotonic() < deadline, f"execution not {' or '.join(statuses)} after {limit} s: {data}"
        time.sleep(0.05)


def wait_final(client: httpx.Client, execution_id: str, limit: float = 90) -> dict[str, Any]:
    """The execution once it is final."""
    return wait_for(client, execution_id, *FINAL, limit=limit)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One running service for all tests that only use it."""
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        running = start_stack(Path(folder) / "home")
        yield running
        assert running.stop() == 0


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A running service for one test that breaks it."""
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        running = start_stack(Path(folder) / "home")
        yield running
        running.stop()


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """An administrator's client of the shared service."""
    with stack.client() as admin:
        yield admin
