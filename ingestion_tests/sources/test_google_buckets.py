"""Buckets behind the protocol of Google Cloud Storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import FileMissing, SourceChanged
from ingestion.sources.base import ObjectVersion
from ingestion.sources.google_buckets import GoogleBucket
from ingestion_tests.servers.gcs import FakeGcs


def ignore() -> None:
    """A tick that stops nothing."""


@pytest.fixture
def bucket(fake_gcs: FakeGcs) -> GoogleBucket:
    return GoogleBucket("mirror", None, fake_gcs.endpoint)


def test_objects_are_listed_and_fetched_in_their_generation(
    bucket: GoogleBucket, fake_gcs: FakeGcs, tmp_path: Path
) -> None:
    for name, data in [
        ("in/b.csv", b"22"),
        ("in/a.csv", b"1"),
        ("in/", b""),
        ("out/a.csv", b"9"),
        ("in/empty.csv", b""),
    ]:
        fake_gcs.put("mirror", name, data)
    found = bucket.objects("in/*", 10)
    assert [(version.name, version.size_bytes) for version in found] == [
        ("in/a.csv", 1),
        ("in/b.csv", 2),
        ("in/empty.csv", 0),
    ]
    bucket.fetch(found[1], tmp_path / "b", ignore)
    bucket.fetch(found[1], tmp_path / "part", ignore, limit=1)
    assert ((tmp_path / "b").read_bytes(), (tmp_path / "part").read_bytes()) == (b"22", b"2")
    bucket.probe(found[2], 10)
    fake_gcs.put("mirror", "in/b.csv", b"333")
    with pytest.raises(SourceChanged, match=r"in/b\.csv"):
        bucket.fetch(found[1], tmp_path / "b", ignore)
    with pytest.raises(SourceChanged):
        bucket.probe(ObjectVersion("in/gone.csv", "1", 5), 10)


def test_a_tick_stops_a_transfer(bucket: GoogleBucket, fake_gcs: FakeGcs, tmp_path: Path) -> None:
    fake_gcs.put("mirror", "large", b"x" * 100_000)
    (version,) = bucket.objects("large", 10)

    def stop() -> None:
        raise InterruptedError("stopped")

    with pytest.raises(Exception, match="stopped"):
        bucket.fetch(version, tmp_path / "x", stop)
    assert (tmp_path / "x").stat().st_size < 100_000


def test_no_such_bucket(fake_gcs: FakeGcs) -> None:
    with pytest.raises(FileMissing, match="gs://nowhere"):
        GoogleBucket("nowhere", None, fake_gcs.endpoint).objects("*", 10)
