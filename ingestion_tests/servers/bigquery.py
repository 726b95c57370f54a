"""A throw-away BigQuery: the emulator of `.venv-bigquery` beside a GCS server that it loads from."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from ingestion_tests.servers.gcs import FakeGcs

PROJECT = "test-project"
STAGING_BUCKET = "staging"
_VENV = Path(__file__).resolve().parent.parent.parent / ".venv-bigquery"
_START_SECONDS = 90.0
_STOP_SECONDS = 10.0


class BigQueryServer:
    """The emulator on 127.0.0.1, reading gs:// from `gcs`; use it as a context manager."""

    def __init__(self, gcs: FakeGcs) -> None:
        self.gcs = gcs
        self.port, self.grpc_port = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="bigquery-")
        self._client: bigquery.Client | None = None

    @property
    def endpoint(self) -> str:
        """What INGESTION_BIGQUERY_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_endpoint(self) -> str:
        """Host and port of the Storage Read API, without TLS."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def client(self) -> bigquery.Client:
        """A client of the tests' own."""
        assert self._client is not None
        return self._client

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        job = self.client.query(statement, job_retry=None, timeout=30)
        return [tuple(row.values()) for row in job.result(job_retry=None, timeout=60)]

    def create_dataset(self) -> str:
        """The name of a new, empty dataset."""
        name = f"d{uuid.uuid4().hex[:10]}"
        self.client.create_dataset(name, timeout=30)
        return name

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"HOME": str(_VENV / "home"), "STORAGE_EMULATOR_HOST": self.gcs.endpoint}
        python = _VENV / "bin" / "python"
        if not python.exists():
            raise RuntimeError("the BigQuery emulator is not installed: run scripts/install_bigquery_emulator.py")
        self._log = Path(self._folder.name, "log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(str(python), "-c", "from local_bigquery.cli import main; main()"),
                    *("--host", "127.0.0.1", "--port", str(self.port), "--grpc-port", str(self.grpc_port)),
                    *("--project", PROJECT, "--data-dir", str(Path(self._folder.name, "data"))),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        self._client = bigquery.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.endpoint},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()  # type: ignore[no-untyped-call]
        self._stop()

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
        self._folder.cleanup()

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                address = f"{self.endpoint}/bigquery/v2/projects/{PROJECT}/datasets"
                requests.get(address, timeout=10).raise_for_status()
                return
            except requests.RequestException as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = self._log.read_text(errors="replace")[:4000]
                    raise RuntimeError(f"the BigQuery emulator did not start: {error}\n{log}") from error
                time.sleep(0.1)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


@pytest.fixture(scope="session")
def bigquery_server() -> Iterator[BigQueryServer]:
    """One emulator, with a GCS server of its own, for the whole session; use a dataset per test."""
    with FakeGcs() as gcs, BigQueryServer(gcs) as server:
        gcs.client.create_bucket(STAGING_BUCKET)
        yield server
