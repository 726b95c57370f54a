"""Start `ingestion up` for a while, as a user at a terminal would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

INGESTION = (sys.executable, "-m", "ingestion")
START_LIMIT_SECONDS = 120.0
STOP_LIMIT_SECONDS = 90.0


class ServiceFailed(Exception):
    """The service did not start, or did not stop cleanly."""


class Service:
    """`ingestion up` on a free port. A context manager: ready inside, stopped and checked after."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self._log = home / "up.log"

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            # A session of its own, so that Ctrl-C reaches only this program, which then stops the service.
            self._process = subprocess.Popen(
                [*INGESTION, "up", "--home", str(self.home), "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            self.url = self._wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._end()
        if code != 0 and error is None:
            raise ServiceFailed(f"the service ended with code {code}:\n{self.output()}")

    def token(self, role: str, subject: str) -> str:
        """An access token, from the command line."""
        command = [*INGESTION, "token", "--home", str(self.home), "--role", role, "--subject", subject]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, env=self._environment())
        return answer.stdout.strip()

    def output(self) -> str:
        """What the service printed."""
        return self._log.read_text(errors="replace")

    def wait(self) -> None:
        """Block until the service ends by itself."""
        self._process.wait()

    def _environment(self) -> dict[str, str]:
        """This program's own, without settings of another deployment and without a way to Google Cloud Storage."""
        hidden = ("INGESTION_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        return kept | {"CLOUDSDK_CONFIG": str(self.home / "no-google-credentials")}

    def _wait_ready(self) -> str:
        address = self.home / "run" / "api.url"
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServiceFailed(f"the service ended with code {self._process.returncode}:\n{self.output()}")
            if address.exists() and _is_ready(url := address.read_text().strip()):
                return url
            time.sleep(0.1)
        raise ServiceFailed(f"the service was not ready within {START_LIMIT_SECONDS:g} s:\n{self.output()}")

    def _end(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)  # The second one ends everything at once.
            return self._process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def stop_on_terminate(action: Callable[[], None] = lambda: sys.exit(143)) -> None:
    """Let SIGTERM and SIGHUP unwind this program, so that the service it started is stopped too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: action())
