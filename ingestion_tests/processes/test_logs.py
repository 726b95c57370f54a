from __future__ import annotations

import stat
from pathlib import Path

from ingestion.processes.logs import last_lines, open_log


def test_a_log_is_appended_to_and_private(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    for text in (b"one\n", b"two\n"):
        with open_log(path) as log:
            log.write(text)
    assert path.read_text() == "one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_large_logs_move_away_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    for number in range(6):
        with open_log(path, rotate_bytes=5) as log:
            log.write(f"start {number}\n".encode())
    assert path.read_text() == "start 5\n"
    kept = {file.name: file.read_text() for file in tmp_path.iterdir() if file != path}
    assert kept == {"api.log.1": "start 4\n", "api.log.2": "start 3\n", "api.log.3": "start 2\n"}


def test_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    path.write_text("".join(f"line {n}\n" for n in range(20_000)))
    assert last_lines(path, 2) == ["line 19998", "line 19999"]
    assert last_lines(tmp_path / "none.log", 2) == []
