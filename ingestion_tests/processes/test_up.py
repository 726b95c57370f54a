"""`ingestion up` as it is used: the real processes of the service."""

from __future__ import annotations

import shlex
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ingestion.processes.family import members
from ingestion.processes.lock import LockOwner
from ingestion.processes.up import _show_addresses
from ingestion.settings import Settings
from ingestion_tests.servers.stack import CHILDREN, Stack, clean_environment, start_stack, wait_final

pytestmark = pytest.mark.timeout(300)


def up(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ingestion", "up", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)


def family(stack: Stack) -> str:
    return LockOwner.model_validate_json((stack.home / "run" / "supervisor.lock").read_text()).family


def wait_until(condition: Callable[[], bool], what: str, limit: float) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.1)


def start_slow_execution(stack: Stack) -> str:
    """An execution whose worker is at work for a while."""
    stack.put_rows("big", "rows.csv", ["id", "text"], [(n, f"text {n}" * 20) for n in range(300_000)])
    with stack.client() as client:
        details = {"bucket_name": "big", "file_pattern": "*.csv"}
        source = {"name": "big", "source_type": "GCS", "connection_details": details}
        source_id = client.post("/sources", json=source).json()["data"]["source_id"]
        pipeline = {"pipeline_name": "big", "source_id": source_id, "target_dataset": "d", "target_table": "big"}
        pipeline_id = client.post("/pipelines", json=pipeline).json()["data"]["pipeline_id"]
        answer = client.post(f"/pipelines/{pipeline_id}/execute", json={})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["execution_id"])


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = up(tmp_path / "home", "--port", str(port))
    assert answer.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by another program" in answer.stderr
    assert answer.stdout == ""
    assert list((tmp_path / "home" / "logs").iterdir()) == []


def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = up(tmp_path / "file" / "home", "--port", "0")
    assert answer.returncode == 1
    assert f"the folder {tmp_path}/file/home cannot be made: Not a directory" in answer.stderr


def test_a_database_that_cannot_be_reached_ends_the_start(tmp_path: Path) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    command = [sys.executable, "-m", "ingestion", "up", "--home", str(tmp_path), "--port", "0"]
    environment = clean_environment() | {"INGESTION_DATABASE_URL": url}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=90)
    assert answer.returncode == 1
    assert "migrate ended with exit code 1; the end of" in answer.stdout


def test_the_shown_token_command_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "a home"
    _show_addresses(Settings(home=home), 1.0)

    [command] = [line for line in capsys.readouterr().out.splitlines() if "ingestion token" in line]
    assert shlex.split(command) == ["Token", "ingestion", "token", "--home", str(home)]


def test_a_running_home_is_private_and_refuses_a_second_start(stack: Stack) -> None:
    answer = up(stack.home, "--port", "0")
    assert answer.returncode == 1
    assert f"process {stack.process.pid} already runs `ingestion up` on it" in answer.stderr
    modes = {folder.name: stat.S_IMODE(folder.stat().st_mode) for folder in stack.home.iterdir() if folder.is_dir()}
    assert set(modes.values()) == {0o700}, modes


def test_what_is_killed_comes_back_and_what_ends_leaves_nothing(own_stack: Stack) -> None:
    before = own_stack.children()
    assert set(before) == set(CHILDREN)
    killed = {"api", "code-server", "launcher"}
    for name in killed:
        before[name].kill()
    wait_until(lambda: came_back(own_stack, before, killed), "all run again", 60)
    own_stack.wait_ready()

    execution_id = start_slow_execution(own_stack)
    token = family(own_stack)
    wait_until(lambda: len(workers(token, own_stack)) == 1, "the worker runs", 30)
    own_stack.process.kill()
    own_stack.process.wait()

    again = start_stack(own_stack.home)
    try:
        assert members(token) == []
        with again.client() as client:
            execution = wait_final(client, execution_id)
        assert execution["status"] in ("SUCCESS", "FAILED")
        token = family(again)
        again.process.terminate()
        assert again.process.wait(60) == 0
        assert members(token) == []
        assert not (again.home / "run" / "api.url").exists()
    finally:
        again.stop()


def came_back(stack: Stack, before: dict[str, psutil.Process], killed: set[str]) -> bool:
    """Whether all children run, those that were killed as new processes and the others as before."""
    now = stack.children()
    return set(now) == set(before) and killed == {name for name in now if now[name].pid != before[name].pid}


def workers(token: str, stack: Stack) -> list[psutil.Process]:
    """Forked run workers: of the family, but with a session of their own below the launcher."""
    launcher = stack.children()["launcher"].pid
    return [process for process in members(token) if process.ppid() == launcher]
