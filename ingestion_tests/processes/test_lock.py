from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.processes.lock import HomeInUse, HomeLock

_HOLD_AND_DIE = """
import os, pathlib, signal, sys
from ingestion.processes.lock import HomeLock
folder = pathlib.Path(sys.argv[1])
lock = HomeLock(folder, folder / "lock", "family-1")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with HomeLock(tmp_path, tmp_path / "lock", "one"), pytest.raises(HomeInUse) as refused:
        HomeLock(tmp_path, tmp_path / "lock", "two")
    assert refused.value.pid == os.getpid()
    assert str(refused.value) == f"{tmp_path} is in use: process {os.getpid()} already runs `ingestion up` on it"


def test_a_clean_release_leaves_no_trace(tmp_path: Path) -> None:
    HomeLock(tmp_path, tmp_path / "lock", "one").release()
    with HomeLock(tmp_path, tmp_path / "lock", "two") as lock:
        assert lock.previous is None


def test_a_killed_owner_frees_the_home_and_is_remembered(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _HOLD_AND_DIE, str(tmp_path)], check=False)
    with HomeLock(tmp_path, tmp_path / "lock", "two") as lock:
        assert lock.previous is not None
        assert lock.previous.family == "family-1"
        assert not lock.previous.is_alive()
