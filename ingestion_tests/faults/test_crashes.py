"""Kill any one process during an execution: it still ends in a true state and its claim is free."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx
import psutil
import pytest

from ingestion_tests.servers.postgres import PostgresServer
from ingestion_tests.servers.slow_source import execute, slow_pipeline
from ingestion_tests.servers.stack import CHILDREN, Stack, start_stack, wait_final, wait_for


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service whose processes these tests kill; the supervisor brings each back."""
    running = start_stack(tmp_path_factory.mktemp("v") / "home")
    yield running
    running.stop()


@pytest.fixture
def admin(victim: Stack) -> Iterator[httpx.Client]:
    victim.wait_ready()
    with victim.client() as client:
        yield client


def workers(stack: Stack) -> list[psutil.Process]:
    """Processes forked by the launcher, one per run."""
    return stack.children()["launcher"].children()


def table_rows(stack: Stack, name: str) -> int:
    with duckdb.connect(str(stack.home / "warehouse" / f"{name}.duckdb"), read_only=True) as connection:
        found = connection.execute(f'SELECT count(*) FROM main."{name}"').fetchone()
    assert found is not None
    return int(found[0])


def name_of(admin: httpx.Client, pipeline_id: str) -> str:
    return str(admin.get(f"/pipelines/{pipeline_id}").json()["data"]["target_table"])


def wait_gone(process: psutil.Process, limit: float = 10) -> None:
    psutil.wait_procs([process], timeout=limit)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_back(stack: Stack, name: str, old_pid: int, limit: float = 40) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        child = stack.children().get(name)
        if child is not None and child.pid != old_pid:
            stack.wait_ready()
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} was not started again")


@pytest.mark.parametrize("name", ["api", "code-server", "daemon"])
def test_an_execution_survives_the_end_of(
    name: str, victim: Stack, admin: httpx.Client, postgres: PostgresServer
) -> None:
    pipeline_id = slow_pipeline(admin, postgres, seconds=4)
    execution_id = execute(admin, pipeline_id)
    wait_for(admin, execution_id, "RUNNING")
    process = victim.children()[name]
    process.kill()
    wait_gone(process)
    wait_back(victim, name, process.pid)
    execution = wait_final(admin, execution_id)
    assert execution["status"] == "SUCCESS", execution
    assert execution["records_processed"] == table_rows(victim, name_of(admin, pipeline_id)) == 1000
    again = execute(admin, pipeline_id)
    assert wait_final(admin, again)["status"] == "SUCCESS"


def test_a_killed_worker_is_noticed_and_its_claim_is_free(
    victim: Stack, admin: httpx.Client, postgres: PostgresServer
) -> None:
    pipeline_id = slow_pipeline(admin, postgres, seconds=3)
    execution_id = execute(admin, pipeline_id)
    wait_for(admin, execution_id, "RUNNING")
    (worker,) = workers(victim)
    worker.kill()
    execution = wait_final(admin, execution_id, limit=20)
    assert execution["status"] == "FAILED"
    assert execution["error_details"]["error_code"] == "WORKER_LOST"
    assert not (victim.home / "warehouse" / f"{name_of(admin, pipeline_id)}.duckdb").exists()
    retried = admin.post(f"/executions/{execution_id}/retry").json()["data"]["execution_id"]
    assert wait_final(admin, retried)["status"] == "SUCCESS"
    tasks = admin.get(f"/executions/{execution_id}/tasks").json()["items"]
    assert [task["status"] for task in tasks] == ["FAILED", *["UPSTREAM_FAILED"] * 3]


def test_an_execution_survives_the_end_of_the_launcher(
    victim: Stack, admin: httpx.Client, postgres: PostgresServer
) -> None:
    pipeline_id = slow_pipeline(admin, postgres, seconds=4)
    execution_id = execute(admin, pipeline_id)
    wait_for(admin, execution_id, "RUNNING")
    launcher = victim.children()["launcher"]
    launcher.kill()
    wait_back(victim, "launcher", launcher.pid)
    assert wait_final(admin, execution_id)["status"] == "SUCCESS"
    assert wait_final(admin, execute(admin, pipeline_id))["status"] == "SUCCESS"


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that belongs to that home, by its environment or command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in " ".join(process.cmdline()) or process.environ().get("INGESTION_HOME") == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def wait_nothing_left(home: Path, limit: float = 20) -> None:
    deadline = time.monotonic() + limit
    while left := processes_of(home):
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.1)


def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_start_finishes_the_story(
    own_stack: Stack, postgres: PostgresServer
) -> None:
    with own_stack.client() as admin:
        pipeline_id = slow_pipeline(admin, postgres, seconds=30)
        execution_id = execute(admin, pipeline_id)
        wait_for(admin, execution_id, "RUNNING")
    assert set(own_stack.children()) == set(CHILDREN)
    own_stack.process.kill()
    own_stack.process.wait()
    wait_nothing_left(own_stack.home)
    again = start_stack(own_stack.home)
    try:
        with again.client() as admin:
            execution = wait_final(admin, execution_id, limit=30)
            assert execution["error_details"]["error_code"] == "WORKER_LOST", json.dumps(execution)
            assert admin.delete(f"/pipelines/{pipeline_id}").status_code == 200
    finally:
        assert again.stop() == 0
    wait_nothing_left(own_stack.home)


def test_a_stop_in_the_middle_of_an_execution_leaves_nothing_behind(own_stack: Stack, postgres: PostgresServer) -> None:
    with own_stack.client() as admin:
        execution_id = execute(admin, slow_pipeline(admin, postgres, seconds=60))
        wait_for(admin, execution_id, "RUNNING")
    assert own_stack.stop() == 0
    wait_nothing_left(own_stack.home)
