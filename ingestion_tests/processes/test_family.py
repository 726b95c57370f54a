"""Processes are found and ended by their family, wherever they went."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ingestion.processes.family import FAMILY_VARIABLE, end_family, members, new_family

# A process in a session of its own whose parent, the program, is gone.
ORPHANING = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
"""


@pytest.fixture
def family() -> Iterator[str]:
    token = new_family()
    yield token
    end_family(token, 0.0)


def start(family: str, program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program], env=os.environ | {FAMILY_VARIABLE: family})


def test_families_are_told_apart(family: str) -> None:
    assert family != new_family()
    with start(family, "input()") as process:
        assert [member.pid for member in members(family)] == [process.pid]
        assert members(new_family()) == []
        process.kill()


def test_an_orphan_is_still_of_the_family_and_is_killed(family: str) -> None:
    with start(family, ORPHANING) as parent:
        assert parent.wait(20) == 0
    assert len(members(family)) == 1

    assert end_family(family, 0.0) == 1

    assert members(family) == []


def test_what_ends_within_the_grace_is_not_killed(family: str) -> None:
    with start(family, "import time; time.sleep(0.3)") as process:
        assert end_family(family, 20.0) == 0
        assert process.wait() == 0


def test_a_hurry_ends_the_wait(family: str) -> None:
    with start(family, "import time; time.sleep(300)") as process:
        began = time.monotonic()
        assert end_family(family, 60.0, hurry=lambda: True) == 1
        assert time.monotonic() - began < 20
        assert members(family) == []
        process.wait()
