"""Reading files that stay, change, vanish, or come over connections that break."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import (
    ConnectionFailed,
    SourceAuthenticationFailed,
    SourceChanged,
    SourcePermissionDenied,
    TimedOut,
)
from ingestion.sources import sftp_reading, sftp_store
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks
from ingestion.sources.file_store import never_stop
from ingestion.sources.sftp_store import SftpStore
from ingestion_tests.servers.tcp_proxy import TcpProxy
from ingestion_tests.sources.sftp_site import SftpSite

MEGABYTE = 1 << 20
LARGE = random.Random(7).randbytes(24 * MEGABYTE)
"""Larger than all that is asked for at once."""


@pytest.fixture
def proxy(sftp: SftpSite) -> Iterator[TcpProxy]:
    """A proxy before the server."""
    with TcpProxy("127.0.0.1", sftp.server.port) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_store, "_PAUSES", (0.05, 0.1))
    monkeypatch.setattr(sftp_store, "_CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(sftp_store, "_CLOSE_SECONDS", 0.5)
    monkeypatch.setattr(sftp_store, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(sftp_reading, "STALL_SECONDS", 1.0)


def only(store: SftpStore, pattern: str = "*") -> ObjectVersion:
    (version,) = store.objects(pattern, 10)
    return version


def test_a_file_is_copied_wholly_or_up_to_a_limit(sftp: SftpSite, tmp_path: Path) -> None:
    sftp.server.put("large", LARGE)
    sftp.server.put("empty", b"")
    store = sftp.store()
    empty, large = store.objects("*", 10)
    ticks: list[None] = []
    store.fetch(large, tmp_path / "large", lambda: ticks.append(None))
    store.fetch(large, tmp_path / "part", never_stop, limit=MEGABYTE + 1)
    store.fetch(empty, tmp_path / "empty", never_stop)
    store.probe(empty, 10)
    store.probe(large, 10)
    assert (tmp_path / "large").read_bytes() == LARGE
    assert (tmp_path / "part").read_bytes() == LARGE[: MEGABYTE + 1]
    assert (tmp_path / "empty").read_bytes() == b""
    assert ticks


@pytest.mark.parametrize("change", ["replaced", "renamed over", "appended", "truncated", "deleted"])
def test_a_file_that_changes_while_it_is_read(sftp: SftpSite, tmp_path: Path, change: str) -> None:
    path = sftp.server.put("large", LARGE)
    store = sftp.store()
    version = only(store)
    is_done = False

    def meddle() -> None:
        nonlocal is_done
        if is_done:
            return
        is_done = True
        if change == "replaced":
            path.write_bytes(LARGE[::-1])
        elif change == "renamed over":
            os.replace(sftp.server.put("other", LARGE[::-1], mtime=1), path)
        elif change == "appended":
            with path.open("ab") as file:
                file.write(b"x")
        elif change == "truncated":
            os.truncate(path, 10 * MEGABYTE)
        else:
            path.unlink()

    with pytest.raises(SourceChanged, match=r"large(' on|')") as caught:
        store.fetch(version, tmp_path / "large", meddle)
    assert caught.value.facts["object"] == "large"


def test_a_file_that_changed_after_it_was_listed(sftp: SftpSite, tmp_path: Path) -> None:
    path = sftp.server.put("a.csv", b"id\n1\n")
    store = sftp.store()
    version = only(store)
    path.write_bytes(b"id\n1\n2\n")
    with pytest.raises(SourceChanged, match="still being written"):
        store.fetch(version, tmp_path / "x", never_stop)
    path.unlink()
    with pytest.raises(SourceChanged, match="deleted"):
        store.fetch(version, tmp_path / "x", never_stop)


def test_a_file_that_was_just_written_is_looked_at_again(sftp: SftpSite, tmp_path: Path) -> None:
    path = sftp.server.put("a.csv", b"id\n1\n", mtime=time.time())
    store = sftp.store()
    version = only(store)
    started = time.monotonic()

    def write_more() -> None:
        if time.monotonic() - started > 0.5 and path.stat().st_size == 5:
            path.write_bytes(b"id\n1\n2\n")

    with pytest.raises(SourceChanged, match="still being written"):
        store.fetch(version, tmp_path / "x", write_more)


def test_one_file_without_the_right_to_read_it(sftp: SftpSite, tmp_path: Path) -> None:
    sftp.server.put("a.csv", b"1")
    path = sftp.server.put("b.csv", b"2")
    store = sftp.store()
    a, b = store.objects("*", 10)
    path.chmod(0)
    store.fetch(a, tmp_path / "a", never_stop)
    with pytest.raises(SourcePermissionDenied, match=r"b\.csv' on .*right to read"):
        store.fetch(b, tmp_path / "b", never_stop)
    with pytest.raises(SourcePermissionDenied, match=r"b\.csv' on .*right to read"):
        store.probe(b, 10)


@pytest.mark.usefixtures("impatient")
def test_a_broken_download_goes_on_where_it_was(sftp: SftpSite, proxy: TcpProxy, tmp_path: Path) -> None:
    sftp.server.put("large", LARGE)
    store = sftp.store(port=proxy.port)
    version = only(store)
    store.close()
    proxy.cut_after, proxy.cuts = 9 * MEGABYTE, 3
    proxy.bytes_from_server = 0
    store.fetch(version, tmp_path / "large", never_stop)
    assert (tmp_path / "large").read_bytes() == LARGE
    assert proxy.connections >= 3
    assert proxy.bytes_from_server < 2 * len(LARGE)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_always_breaks_is_given_up(sftp: SftpSite, proxy: TcpProxy, tmp_path: Path) -> None:
    sftp.server.put("large", LARGE)
    store = sftp.store(port=proxy.port)
    version = only(store)
    proxy.cut_all()
    proxy.refuse = True
    with pytest.raises(ConnectionFailed, match="attempts without progress: 3"):
        store.fetch(version, tmp_path / "large", never_stop)
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{proxy.port}"):
        store.objects("*", 10)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_falls_silent_is_given_up(sftp: SftpSite, proxy: TcpProxy, tmp_path: Path) -> None:
    sftp.server.put("large", LARGE)
    store = sftp.store(port=proxy.port)
    version = only(store)

    def fall_silent() -> None:
        proxy.silent = True

    with pytest.raises(TimedOut, match=r"did not answer in time.* \(byte \d+ was reached\)"):
        store.fetch(version, tmp_path / "large", fall_silent)
    assert 0 < (tmp_path / "large").stat().st_size < len(LARGE)


@pytest.mark.usefixtures("impatient")
def test_a_download_is_stopped_while_nothing_comes(
    sftp: SftpSite, proxy: TcpProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_reading, "STALL_SECONDS", 600.0)
    sftp.server.put("large", LARGE)
    store = sftp.store(port=proxy.port)
    version = only(store)
    silent_since: list[float] = []

    def stop() -> None:
        proxy.silent = True
        silent_since.append(time.monotonic())
        if time.monotonic() - silent_since[0] > 1:
            raise InterruptedError("cancelled")

    with pytest.raises(InterruptedError, match="cancelled"):
        store.fetch(version, tmp_path / "large", stop)
    store.close()
    assert time.monotonic() - silent_since[0] < 30
    assert all(thread.name != "background-loop" for thread in threading.enumerate())


def test_a_right_that_is_taken_away_is_noticed_at_the_next_login(sftp: SftpSite) -> None:
    sftp.server.put("a.csv", b"1")
    store = sftp.store()
    only(store)
    store.close()
    sftp.server.allow()
    with pytest.raises(SourceAuthenticationFailed):
        only(store)


def test_a_connection_test_takes_its_steps(sftp: SftpSite) -> None:
    checks = Checks(10)
    sftp.store().reach(checks)
    assert [(outcome["name"], outcome["passed"]) for outcome in checks.outcomes] == [
        ("name_resolution", True),
        ("tcp", True),
        ("host_key", True),
        ("authentication", True),
    ]
    assert sftp.server.fingerprint() in checks.outcomes[2]["message"]


def test_a_silent_server_does_not_hold_up_a_test(sftp: SftpSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        checks = Checks(1)
        started = time.monotonic()
        with pytest.raises(TimedOut):
            sftp.store(port=silent.getsockname()[1]).reach(checks)
        assert time.monotonic() - started < 10
    assert [outcome["passed"] for outcome in checks.outcomes] == [True, True, False]
