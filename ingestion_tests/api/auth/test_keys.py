"""The home's key: one, private, whoever asks first."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

from api.auth.keys import KEY_FILE, local_key
from ingestion.settings import Settings


def kid_of(home: Path) -> str:
    return str(local_key(Settings(home=home)).kid)


def test_it_is_made_once_and_readable_by_its_user_alone(tmp_path: Path) -> None:
    assert kid_of(tmp_path) == kid_of(tmp_path)
    path = tmp_path / "keys" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [KEY_FILE]


def test_processes_that_start_together_share_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(kid_of, [tmp_path] * 9, chunksize=1))) == 1
