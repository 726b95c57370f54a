from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from ingestion.processes.sockets import LONGEST_PATH_BYTES, socket_path
from ingestion.settings import Settings


def test_a_short_home_has_its_sockets_in_its_run_folder() -> None:
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        path = socket_path(Settings(home=Path(folder)), "code.sock")

        assert path == Path(folder).resolve() / "run" / "code.sock"
        assert path.parent.is_dir()


def test_a_long_home_has_them_in_a_private_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        settings = Settings(home=tmp_path / ("long" * 30))

        path = socket_path(settings, "launcher.sock")

        assert path == socket_path(settings, "launcher.sock")
        assert path != socket_path(Settings(home=tmp_path / ("longer" * 30)), "launcher.sock")
        assert len(os.fsencode(path)) <= LONGEST_PATH_BYTES
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))


def test_a_folder_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        settings = Settings(home=tmp_path / ("long" * 30))
        socket_path(settings, "launcher.sock").parent.chmod(0o777)

        with pytest.raises(PermissionError, match="not a folder of this user alone"):
            socket_path(settings, "launcher.sock")
