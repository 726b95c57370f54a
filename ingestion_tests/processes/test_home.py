from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingestion.processes.home import HomeUnusable, home_folders, prepare_home
from ingestion.settings import Settings


def test_every_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "deep" / "home")

    for _ in range(2):
        prepare_home(settings)

    folders = home_folders(settings)
    assert folders[0] == settings.home_dir
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert folder.is_relative_to(settings.home_dir)
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.staging_dir.parent.mkdir(parents=True, exist_ok=True)
    settings.staging_dir.write_text("")

    with pytest.raises(HomeUnusable, match=f"{settings.staging_dir} cannot be made: File exists"):
        prepare_home(settings)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    # Not by its mode: the administrator may use any folder.
    monkeypatch.setattr(os, "access", lambda path, mode: path != settings.warehouse_dir)

    with pytest.raises(HomeUnusable, match=f"{settings.warehouse_dir} cannot be read and written"):
        prepare_home(settings)
