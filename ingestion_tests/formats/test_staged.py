"""The record of a finished file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ingestion.formats.staged import StagedFile, staged_file


def test_size_and_checksum_are_those_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    data = b"abc" * 100_000
    path.write_bytes(data)
    assert staged_file(path, 7) == StagedFile("part.parquet", 7, len(data), hashlib.sha256(data).hexdigest())
