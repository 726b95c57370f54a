"""Buckets behind the protocol of Google Cloud Storage."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestion.errors import (
    Cancelled,
    ConnectionFailed,
    FileMissing,
    PartialFile,
    RateLimited,
    SourceAuthenticationFailed,
    SourceChanged,
    SourcePermissionDenied,
)
from ingestion.google_credentials import google_login
from ingestion.model.connections.google import GoogleAccess
from ingestion.sources import google_transfers
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks
from ingestion.sources.google_buckets import GoogleBucket, storage_client
from ingestion_tests.servers.gcs import FakeGcs
from ingestion_tests.servers.gcs_front import GcsFront
from ingestion_tests.servers.google_tokens import KEY_TOKEN, TokenServer

LARGE = os.urandom(1 << 20) * 3
SPLIT = 1 << 20


def ignore() -> None:
    """A tick that stops nothing."""


def no_secret(reference: str) -> str:
    raise AssertionError(reference)


def bucket_at(endpoint: str, name: str) -> GoogleBucket:
    login = google_login(GoogleAccess(), no_secret, endpoint=endpoint)
    return GoogleBucket(name, lambda: storage_client(login, None, endpoint), endpoint)


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A bucket of the test's own."""
    return f"mirror-{abs(hash(tmp_path)) % 10**9}"


@pytest.fixture
def bucket(fake_gcs: FakeGcs, name: str) -> Iterator[GoogleBucket]:
    opened = bucket_at(fake_gcs.endpoint, name)
    yield opened
    opened.close()


@pytest.fixture
def front(fake_gcs: FakeGcs) -> Iterator[GcsFront]:
    with GcsFront(fake_gcs) as server:
        yield server


@pytest.fixture
def fronted(front: GcsFront, name: str) -> Iterator[GoogleBucket]:
    """The bucket as seen through the front."""
    opened = bucket_at(front.endpoint, name)
    yield opened
    opened.close()


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are split into parts of 1 MiB, so that a test need not move much."""
    monkeypatch.setattr(google_transfers, "SPLIT_BYTES", SPLIT)


def test_objects_are_listed_and_fetched_in_their_generation(
    bucket: GoogleBucket, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    for key, data in [
        ("in/b.csv", b"22"),
        ("in/a.csv", b"1"),
        ("in/", b""),
        ("out/a.csv", b"9"),
        ("in/empty.csv", b""),
    ]:
        fake_gcs.put(name, key, data)
    found = bucket.objects("in/*", 10)
    assert [(version.name, version.size_bytes) for version in found] == [
        ("in/a.csv", 1),
        ("in/b.csv", 2),
        ("in/empty.csv", 0),
    ]
    bucket.fetch(found[1], tmp_path / "b", ignore)
    bucket.fetch(found[1], tmp_path / "part", ignore, limit=1)
    bucket.fetch(found[2], tmp_path / "empty", ignore)
    assert [(tmp_path / name).read_bytes() for name in ("b", "part", "empty")] == [b"22", b"2", b""]
    bucket.probe(found[2], 10)
    fake_gcs.put(name, "in/b.csv", b"333")
    with pytest.raises(SourceChanged, match=r"in/b\.csv"):
        bucket.fetch(found[1], tmp_path / "b", ignore)
    with pytest.raises(SourceChanged):
        bucket.probe(ObjectVersion("in/gone.csv", "1", 5), 10)


AWKWARD = ["a b.csv", "a#b?.csv", "100%25.csv", "ü/ж 漢字.csv", "a+b&c=d.csv", "[1].csv", "x//y.csv", "q'\"\\.csv"]


def test_awkward_names(bucket: GoogleBucket, fake_gcs: FakeGcs, name: str, tmp_path: Path) -> None:
    for key in AWKWARD:
        fake_gcs.put(name, key, key.encode())
    found = bucket.objects("**", 10)
    assert [version.name for version in found] == sorted(AWKWARD)
    for version in found:
        bucket.fetch(version, tmp_path / "x", ignore)
        assert (tmp_path / "x").read_bytes() == version.name.encode()


def test_a_composite_object_has_no_md5_and_is_checked_all_the_same(
    bucket: GoogleBucket, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    fake_gcs.put(name, "1", b"id\n1\n")
    fake_gcs.put(name, "2", b"2\n")
    parts = fake_gcs.client.bucket(name)
    parts.blob("all.csv").compose([parts.blob("1"), parts.blob("2")])
    (version,) = bucket.objects("all.csv", 10)
    bucket.fetch(version, tmp_path / "x", ignore)
    assert (tmp_path / "x").read_bytes() == b"id\n1\n2\n"


def test_many_small_objects_are_read_ahead(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    count = 60
    for number in range(count):
        fake_gcs.put(name, f"part-{number:04d}", b"%d" % number)
    found = fronted.objects("part-*", 10)
    front.latency_seconds = 0.05
    started = time.monotonic()
    fronted.expect(found[10:])
    for number, version in enumerate(found[10:], start=10):
        fronted.fetch(version, tmp_path / "x", ignore)
        assert (tmp_path / "x").read_bytes() == b"%d" % number
    assert front.most_at_once > 1
    assert time.monotonic() - started < 0.05 * count
    fronted.fetch(found[0], tmp_path / "x", ignore)  # One that was not expected.
    assert (tmp_path / "x").read_bytes() == b"0"
    assert len(front.ranges) == count - 10 + 1


def test_an_object_replaced_behind_the_read_ahead_is_noticed(
    fronted: GoogleBucket, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    fake_gcs.put(name, "a", b"1")
    (version,) = fronted.objects("*", 10)
    fake_gcs.put(name, "a", b"2")
    fronted.expect([version])
    with pytest.raises(SourceChanged, match=r"gs://.*/a was replaced"):
        fronted.fetch(version, tmp_path / "x", ignore)


def test_a_listing_of_several_pages(fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str) -> None:
    names = [f"part-{number:03d}" for number in range(20)]
    for key in names:
        fake_gcs.put(name, key, b"1")
    front.page_size = 7
    assert [version.name for version in fronted.objects("part-*", 10)] == names
    assert len(front.listings) == 3


def test_a_token_that_expires_on_the_way_is_renewed(
    front: GcsFront, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    fake_gcs.put(name, "a", b"12345")
    with TokenServer() as tokens:
        access = GoogleAccess(credentials_secret="env://KEY")
        login = google_login(access, lambda reference: tokens.key(), endpoint=front.endpoint)
        bucket = GoogleBucket(name, lambda: storage_client(login, None, front.endpoint), front.endpoint)
        front.token = KEY_TOKEN
        (version,) = bucket.objects("*", 10)
        front.refusals.append(401)
        bucket.fetch(version, tmp_path / "x", ignore)
        assert (tmp_path / "x").read_bytes() == b"12345"
        assert len(tokens.asked) == 2
        front.refusals.extend([401] * 10)
        with pytest.raises(SourceAuthenticationFailed, match="do not open gs://"):
            bucket.fetch(version, tmp_path / "x", ignore)
        bucket.close()


def test_folders_below_are_not_listed_when_no_match_can_be_there(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str
) -> None:
    for key in ("in/a.csv", "in/deep/a.csv", "b.csv"):
        fake_gcs.put(name, key, b"1")
    assert [version.name for version in fronted.objects("in/*.csv", 10)] == ["in/a.csv"]
    assert [version.name for version in fronted.objects("in/**.csv", 10)] == ["in/a.csv", "in/deep/a.csv"]
    assert [(asked["prefix"], asked.get("delimiter")) for asked in front.listings] == [
        (["in/"], ["/"]),
        (["in/"], None),
    ]


@pytest.mark.usefixtures("in_parts")
def test_a_dropped_connection_goes_on_at_the_byte_it_had_reached(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    fake_gcs.put(name, "large", LARGE)
    (version,) = fronted.objects("*", 10)
    front.cuts.extend([300_000, 700_000, 0])
    front.refusals.extend([503, 429])
    fronted.fetch(version, tmp_path / "x", ignore)
    assert (tmp_path / "x").read_bytes() == LARGE
    starts = [int(str(asked).removeprefix("bytes=").split("-")[0]) for asked in front.ranges]
    assert len(starts) == 6
    assert {0, SPLIT, 2 * SPLIT} < set(starts)
    assert any(start % SPLIT for start in starts)


def test_a_connection_that_keeps_breaking_is_given_up(
    fronted: GoogleBucket,
    front: GcsFront,
    fake_gcs: FakeGcs,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(google_transfers, "_LONGEST_PAUSE_SECONDS", 0.05)
    fake_gcs.put(name, "large", LARGE)
    (version,) = fronted.objects("*", 10)
    front.cuts.extend([10] * 100)
    with pytest.raises(ConnectionFailed, match=r"gs://.*/large cannot be reached"):
        fronted.fetch(version, tmp_path / "x", ignore)
    assert len(front.ranges) == google_transfers._ATTEMPTS


def test_progress_makes_up_for_breaks(
    fronted: GoogleBucket,
    front: GcsFront,
    fake_gcs: FakeGcs,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(google_transfers, "_FIRST_PAUSE_SECONDS", 0.01)
    fake_gcs.put(name, "large", LARGE)
    (version,) = fronted.objects("*", 10)
    front.cuts.extend([200_000] * 12)
    fronted.fetch(version, tmp_path / "x", ignore)
    assert (tmp_path / "x").read_bytes() == LARGE


@pytest.mark.usefixtures("in_parts")
def test_an_object_replaced_while_it_is_read_is_noticed(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    fake_gcs.put(name, "large", LARGE)
    (version,) = fronted.objects("*", 10)
    front.cuts.extend([100_000])
    replaced = threading.Event()

    def replace() -> None:
        if front.ranges and not replaced.is_set():
            replaced.set()
            fake_gcs.put(name, "large", LARGE[::-1])

    front.latency_seconds = 0.5
    with pytest.raises(SourceChanged, match=r"gs://.*/large was replaced or deleted while it was read"):
        fronted.fetch(version, tmp_path / "x", replace)


def test_what_is_stored_compressed_comes_compressed(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    packed = gzip.compress(b"id\n1\n" * 1000)
    fake_gcs.put(name, "a.csv", packed, content_encoding="gzip")
    (version,) = fronted.objects("*", 10)
    fronted.fetch(version, tmp_path / "x", ignore)
    assert (tmp_path / "x").read_bytes() == packed
    front.decompresses = True
    with pytest.raises(PartialFile, match=r"'a\.csv' came with more bytes than it has"):
        fronted.fetch(version, tmp_path / "x", ignore)


def test_a_changed_byte_is_noticed(bucket: GoogleBucket, fake_gcs: FakeGcs, name: str, tmp_path: Path) -> None:
    fake_gcs.put(name, "a", b"12345")
    (version,) = bucket.objects("*", 10)
    bucket._checksums[version] = "AAAAAA=="
    with pytest.raises(PartialFile, match="'a' arrived damaged"):
        bucket.fetch(version, tmp_path / "x", ignore)


def test_a_tick_stops_a_silent_transfer(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str, tmp_path: Path
) -> None:
    fake_gcs.put(name, "large", LARGE)
    (version,) = fronted.objects("*", 10)
    front.stalls_after = 1000

    def stop() -> None:
        if front.ranges:
            raise Cancelled("stopped")

    started = time.monotonic()
    with pytest.raises(Cancelled, match="stopped"):
        fronted.fetch(version, tmp_path / "x", stop)
    assert time.monotonic() - started < 5
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("reading")] == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, SourceAuthenticationFailed), (403, SourcePermissionDenied), (429, RateLimited), (500, ConnectionFailed)],
)
def test_refusals_are_told_apart(
    fronted: GoogleBucket, front: GcsFront, fake_gcs: FakeGcs, name: str, status: int, error: type[Exception]
) -> None:
    fake_gcs.put(name, "a", b"1")
    (version,) = fronted.objects("*", 10)
    front.refusals.extend([status] * 50)
    for attempt in (lambda: fronted.objects("*", 0.5), lambda: fronted.probe(version, 0.5)):
        _raises(error, attempt)


def _raises(error: type[Exception], attempt: Callable[[], object]) -> None:
    with pytest.raises(error, match="gs://"):
        attempt()


def test_no_such_bucket(fake_gcs: FakeGcs) -> None:
    with pytest.raises(FileMissing, match="gs://nowhere"):
        bucket_at(fake_gcs.endpoint, "nowhere").objects("*", 10)


def test_reaching_the_server_is_told_step_by_step(bucket: GoogleBucket) -> None:
    checks = Checks(10)
    bucket.reach(checks)
    assert [(outcome["name"], outcome["passed"]) for outcome in checks.outcomes] == [
        ("name_resolution", True),
        ("tcp", True),
        ("authentication", True),
    ]
    assert checks.outcomes[-1]["message"] == "without credentials"
