"""Buckets that are folders."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import FileMissing, SourceChanged, SourcePermissionDenied
from ingestion.sources.base import ObjectVersion
from ingestion.sources.bucket_folders import FolderBucket

_NOBODY = 65534


def ignore() -> None:
    """A tick that stops nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bucket"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "b.csv").write_bytes(b"22")
    (made / "a.csv").write_bytes(b"1")
    (made / "deep" / "er" / "c.csv").write_bytes(b"333")
    return made


def test_objects_are_named_from_the_folder_and_sorted(folder: Path) -> None:
    bucket = FolderBucket(folder)
    assert [(found.name, found.size_bytes) for found in bucket.objects("**", 1)] == [
        ("a.csv", 1),
        ("b.csv", 2),
        ("deep/er/c.csv", 3),
    ]
    assert [found.name for found in bucket.objects("*.csv", 1)] == ["a.csv", "b.csv"]


def test_a_file_is_copied_wholly_or_up_to_a_limit(folder: Path, tmp_path: Path) -> None:
    (folder / "large").write_bytes(bytes(range(256)) * 10_000)
    (version,) = FolderBucket(folder).objects("large", 1)
    ticks: list[None] = []
    FolderBucket(folder).fetch(version, tmp_path / "whole", lambda: ticks.append(None))
    assert (tmp_path / "whole").read_bytes() == (folder / "large").read_bytes()
    assert len(ticks) == 3
    FolderBucket(folder).fetch(version, tmp_path / "part", ignore, limit=10)
    assert (tmp_path / "part").read_bytes() == bytes(range(10))


def test_another_generation_is_a_change(folder: Path, tmp_path: Path) -> None:
    bucket = FolderBucket(folder)
    (version,) = bucket.objects("a.csv", 1)
    bucket.probe(version, 1)
    os.utime(folder / "a.csv", ns=(1, 1))
    with pytest.raises(SourceChanged, match=r"a\.csv"):
        bucket.fetch(version, tmp_path / "x", ignore)
    (folder / "a.csv").unlink()
    with pytest.raises(SourceChanged):
        bucket.fetch(version, tmp_path / "x", ignore)
    with pytest.raises(SourceChanged):
        bucket.probe(version, 1)


def test_what_is_no_file_is_refused_and_never_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(SourcePermissionDenied, match="not a file"):
        FolderBucket(folder).objects("pipe.*", 1)
    with pytest.raises(SourcePermissionDenied, match="link to itself"):
        FolderBucket(folder).objects("loop.*", 1)
    assert len(FolderBucket(folder).objects("[ab].csv", 1)) == 2


def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="nowhere"):
        FolderBucket(tmp_path / "nowhere").objects("*", 1)


@pytest.fixture
def without_rights() -> Iterator[Path]:
    """A folder that everyone may enter, in a test that is run as a user who does not own it."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "closed").mkdir(0o700)
    (made / "bucket").mkdir(0o755)
    is_root = os.geteuid() == 0
    try:
        yield made
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(made)


def test_a_right_that_is_missing_is_named_as_the_sources(without_rights: Path) -> None:
    path = without_rights / "bucket" / "a.csv"
    path.write_bytes(b"1")
    facts = path.stat()
    version = ObjectVersion("a.csv", str(facts.st_mtime_ns), facts.st_size)
    path.chmod(0)
    bucket = FolderBucket(without_rights / "bucket")
    (without_rights / "closed").chmod(0)
    target = os.open(os.devnull, os.O_WRONLY)
    if os.geteuid() == 0:
        os.seteuid(_NOBODY)  # Root may read everything.
    with pytest.raises(SourcePermissionDenied, match=r"a\.csv"):
        bucket.fetch(version, Path(f"/dev/fd/{target}"), ignore)
    with pytest.raises(SourcePermissionDenied, match=r"a\.csv"):
        bucket.probe(version, 1)
    with pytest.raises(SourcePermissionDenied, match="No right to enter"):
        FolderBucket(without_rights / "closed" / "inner").objects("*", 1)
    os.close(target)
