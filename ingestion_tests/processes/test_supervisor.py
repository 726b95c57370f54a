from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ingestion.processes.family import end_family, members

LIMIT_SECONDS = 20.0


class Stage:
    """A supervisor over stand-ins in a folder, started once."""

    def __init__(self, folder: Path, *children: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "ingestion_tests.processes.stand_in_supervisor", str(folder), *children]
        with (folder / "said").open("wb") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)

    def pid(self, name: str) -> int:
        path = self.folder / f"{name}.pid"
        wait_until(path.exists, f"{name} runs")
        return int(path.read_text())

    def events(self) -> list[str]:
        path = self.folder / "events"
        return path.read_text().splitlines() if path.exists() else []

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def left(self) -> list[psutil.Process]:
        return members((self.folder / "family").read_text())

    def wait_ready(self) -> None:
        wait_until(lambda: "all ready" in self.said(), "all are ready")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT_SECONDS)


def wait_until(condition: Callable[[], bool], what: str, limit: float = LIMIT_SECONDS) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.02)


Start = Callable[..., Stage]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    stages = []

    def begin(*children: str) -> Stage:
        stages.append(Stage(tmp_path, *children))
        return stages[-1]

    yield begin
    for stage in stages:
        stage.process.kill()
        stage.process.wait()
        end_family((tmp_path / "family").read_text(), 0.0)


def test_children_start_after_those_they_need_and_stop_in_reverse(start: Start) -> None:
    stage = start("first", "second:first", "third:second")
    stage.wait_ready()
    assert stage.end(signal.SIGTERM) == 0
    assert stage.events() == [
        *("first start", "second start", "third start"),
        *("third stop", "second stop", "first stop"),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_leaves_no_process_behind(start: Start, number: signal.Signals) -> None:
    stage = start("launcher=forks+grandchild", "api:launcher=grandchild")
    stage.wait_ready()
    stage.pid("launcher-worker")
    assert len(stage.left()) == 5
    assert stage.end(number) == 0
    assert stage.left() == []


def test_a_killed_supervisor_takes_its_processes_along(start: Start) -> None:
    stage = start("launcher=forks", "api:launcher=stubborn")
    stage.wait_ready()
    assert stage.pid("launcher-worker") in [process.pid for process in stage.left()]
    stage.process.kill()
    stage.process.wait()
    wait_until(lambda: stage.left() == [], "all processes are gone")


def test_a_killed_child_starts_again_without_what_it_had_started(start: Start) -> None:
    stage = start("api=grandchild")
    stage.wait_ready()
    first, grandchild = stage.pid("api"), stage.pid("api-grandchild")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: stage.pid("api") != first, "the child runs again")
    wait_until(lambda: grandchild not in [process.pid for process in stage.left()], "the grandchild is gone")
    assert "api was ended by SIGKILL; starting it again in 1." in stage.said()
    assert stage.end(signal.SIGTERM) == 0
    assert stage.left() == []


def test_a_worker_outlives_its_killed_launcher_but_not_the_service(start: Start) -> None:
    stage = start("launcher=forks")
    stage.wait_ready()
    first, worker = stage.pid("launcher"), stage.pid("launcher-worker")
    (stage.folder / "launcher-worker.pid").unlink()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: stage.pid("launcher") != first, "the launcher runs again")
    assert psutil.pid_exists(worker)
    assert stage.end(signal.SIGINT) == 0
    assert stage.left() == []


def test_a_stubborn_child_is_killed_after_its_grace(start: Start) -> None:
    stage = start("api=stubborn")
    stage.wait_ready()
    assert stage.end(signal.SIGTERM) == 0
    assert "api did not end within 1 s and is killed" in stage.said()
    assert stage.left() == []


def test_a_second_signal_kills_at_once(start: Start) -> None:
    stage = start("launcher=forks", "api=stubborn+grandchild")
    stage.wait_ready()
    stage.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in stage.said(), "the stop has begun")
    began = time.monotonic()
    assert stage.end(signal.SIGINT) == 130
    assert time.monotonic() - began < 0.9
    assert stage.left() == []


def test_a_crash_loop_shows_the_end_of_the_log(start: Start) -> None:
    stage = start("api=crashes")
    wait_until(lambda: stage.events().count("api start") >= 3, "three starts")
    wait_until(lambda: "api has ended 3 times in a row" in stage.said(), "the loop is told")
    assert "  | api cannot work" in stage.said()
    assert "api ended with exit code 3; starting it again in" in stage.said()
    assert stage.end(signal.SIGTERM) == 0


def test_what_runs_once_comes_before_what_needs_it_and_is_not_repeated(start: Start) -> None:
    stage = start("once=passes", "api:once")
    stage.wait_ready()
    assert stage.end(signal.SIGTERM) == 0
    assert stage.events() == ["once start", "api start", "api stop"]


def test_the_service_cannot_start_when_what_runs_once_fails(start: Start) -> None:
    stage = start("once=crashes", "launcher=forks", "api:once")
    assert stage.process.wait(LIMIT_SECONDS) == 1
    assert "once ended with exit code 3; the end of" in stage.said()
    assert "  | once cannot work" in stage.said()
    assert "api start" not in stage.events()
    assert stage.left() == []
