"""The folders of a home."""

from __future__ import annotations

import os
from pathlib import Path

from ingestion.settings import Settings


class HomeUnusable(Exception):
    """The home cannot be made or written to."""


def home_folders(settings: Settings) -> list[Path]:
    """Every folder of the home, the home first."""
    return [
        settings.home_dir,
        settings.buckets_dir,
        settings.warehouse_dir,
        settings.staging_dir,
        settings.secrets_dir,
        settings.keys_dir,
        settings.dagster_home,
        settings.sockets_dir,
        settings.logs_dir,
    ]


def prepare_home(settings: Settings) -> None:
    """Make the folders that are missing, for this user alone. Raises HomeUnusable."""
    for folder in home_folders(settings):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeUnusable(f"the folder {folder} cannot be made: {error.strerror}") from error
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise HomeUnusable(f"the folder {folder} cannot be read and written by this user")
