"""One supervised process: its start, its readiness, its end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingestion.processes import child as child_module
from ingestion.processes.child import Child, ChildSpec, describe_exit

SLEEP = "import time; time.sleep(300)"
Make = Callable[..., Child]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Child] = []

    def child(program: str, **changes: Any) -> Child:
        spec = ChildSpec("part", [sys.executable, "-c", program], **changes)
        made.append(Child(spec, tmp_path / "part.log"))
        return made[-1]

    yield child
    for each in made:
        each.kill()
        end(each)


def end(child: Child) -> int | None:
    deadline = time.monotonic() + 20
    while child.pid is not None:
        code = child.exit_code()
        if code is not None:
            return code
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return None


def test_it_runs_with_its_environment_its_files_and_its_log(make: Make, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    program = f"import os; print(os.environ['COLOUR'], os.environ['SHAPE']); os.write({writer}, b'heard')"
    child = make(program, environment={"COLOUR": "red"}, descriptors=(writer,))

    child.start(dict(os.environ) | {"COLOUR": "blue", "SHAPE": "round"}, ())

    pid = child.pid or 0
    assert os.getsid(pid) == pid
    assert end(child) == 0
    assert child.pid is None
    assert child.exit_code() is None
    assert (tmp_path / "part.log").read_text() == "red round\n"
    assert os.read(reader, 16) == b"heard"
    os.close(reader)
    os.close(writer)


def test_it_is_asked_until_it_is_ready_once(make: Make) -> None:
    answers = [True, False]
    child = make(SLEEP, ready=lambda: answers.pop())
    assert not child.check_ready(), "it was not started"

    child.start(os.environ, ())

    assert [child.check_ready() for _ in range(4)] == [False, True, True, True]
    child.kill()
    assert end(child) == -signal.SIGKILL
    assert not child.is_ready


def test_what_runs_once_is_ready_when_it_is_done(make: Make) -> None:
    child = make("", once=True)
    child.start(os.environ, ())
    assert end(child) == 0
    assert not child.check_ready()

    child.finish()

    assert child.check_ready()
    assert child.is_done


def test_failures_are_forgiven_after_a_healthy_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    child = make(SLEEP)
    child.start(os.environ, ())
    waits = [child.backoff.next() for _ in range(8)]
    assert child.check_ready()
    child.forgive()
    assert child.backoff.next() > max(waits[:2])

    monkeypatch.setattr(child_module, "HEALTHY_SECONDS", 0.0)
    child.forgive()

    assert child.backoff.next() < min(waits[3:])


def test_its_end_takes_its_group_along(make: Make, tmp_path: Path) -> None:
    program = (
        "import pathlib, subprocess, sys;"
        f"left = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
        f"pathlib.Path({str(tmp_path / 'left')!r}).write_text(str(left.pid)); left.returncode = 0"
    )
    child = make(program)
    child.start(os.environ, ())
    assert end(child) == 0

    pid = int((tmp_path / "left").read_text())
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    child = Child(ChildSpec("part", [str(tmp_path / "missing")]), tmp_path / "part.log")
    with pytest.raises(FileNotFoundError):
        child.start(os.environ, ())
    child.terminate()
    child.kill()
    assert child.exit_code() is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was ended by SIGKILL"),
        (-200, "was ended by signal 200"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
