"""The server as a process: its address is told, it stops when asked, and an address in use is an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from api.auth.tokens import issue_token
from ingestion.settings import Settings

LIMIT_SECONDS = 60


@contextmanager
def server(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    hidden = ("INGESTION_", "DAGSTER_", "GOOGLE_", "STORAGE_EMULATOR")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    command = [sys.executable, "-m", "ingestion", "api", "--home", str(home), "--port", "0", *arguments]
    with (home.parent / "api.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        address, deadline = home / "run" / "api.url", time.monotonic() + LIMIT_SECONDS
        while not address.exists():
            assert process.poll() is None, (home.parent / "api.log").read_text()
            assert time.monotonic() < deadline, (home.parent / "api.log").read_text()
            time.sleep(0.05)
        yield process, address.read_text().strip()
    finally:
        process.kill()
        process.wait()


def test_a_new_home_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server(home) as (process, url):
        token = issue_token(Settings(home=home), "admin", "me@example.com")
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/api/v1/ingestion/sources", headers=headers).json()["items"] == []
        parts = httpx.get(f"{url}/readyz", timeout=30).json()["parts"]
        assert parts["store"] == "ok"
        assert parts["launcher"] != "ok"
        ui = httpx.get(f"{url}/dagster/", follow_redirects=True)
        assert (ui.status_code, "<html" in ui.text) == (200, True)
        assert httpx.get(f"{url}/dagster", headers={"Host": "evil.example.com"}).status_code == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert not (home / "run" / "api.url").exists()
    assert token not in (tmp_path / "api.log").read_text()


def test_no_ui_on_other_addresses(tmp_path: Path) -> None:
    with server(tmp_path / "home", "--host", "0.0.0.0") as (_, url):
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/dagster").status_code == 404
