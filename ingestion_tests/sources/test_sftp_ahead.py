"""Many small files, read some way ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.errors import SourceChanged, SourcePermissionDenied
from ingestion.sources import sftp_store
from ingestion.sources.file_store import never_stop
from ingestion.sources.sftp_ahead import SMALL_BYTES
from ingestion_tests.servers.tcp_proxy import TcpProxy
from ingestion_tests.sources.sftp_site import SftpSite


def content(number: int) -> bytes:
    """Of sizes around the border, and one that is far beyond it."""
    size = {3: 0, 5: SMALL_BYTES, 7: SMALL_BYTES + 1, 11: 5 * SMALL_BYTES}.get(number, 20_000)
    return b"%06d" % number * (size // 6 + 1)


@pytest.fixture
def proxy(sftp: SftpSite) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", sftp.server.port) as made:
        yield made


def filled(sftp: SftpSite, count: int) -> list[bytes]:
    contents = [content(number) for number in range(count)]
    for number, data in enumerate(contents):
        sftp.server.put(f"{number:03d}", data)
    return contents


def test_every_file_is_what_it_is(sftp: SftpSite, proxy: TcpProxy, tmp_path: Path) -> None:
    contents = filled(sftp, 100)
    store = sftp.store(port=proxy.port)
    versions = store.objects("*", 10)
    store.expect(versions)
    for version, data in zip(versions, contents, strict=True):
        store.fetch(version, tmp_path / "x", never_stop)
        assert (tmp_path / "x").read_bytes() == data
    assert proxy.connections == 1


def test_a_connection_that_breaks_again_and_again_loses_nothing(
    sftp: SftpSite, proxy: TcpProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_store, "_PAUSES", (0.01,) * 4)
    contents = filled(sftp, 60)
    proxy.cut_after = 1_200_000
    store = sftp.store(port=proxy.port)
    versions = store.objects("*", 10)
    store.expect(versions)
    for version, data in zip(versions, contents, strict=True):
        store.fetch(version, tmp_path / "x", never_stop)
        assert (tmp_path / "x").read_bytes() == data
    assert proxy.connections > 1


def test_what_cannot_be_read_is_told_when_its_turn_comes(sftp: SftpSite, tmp_path: Path) -> None:
    filled(sftp, 4)
    store = sftp.store()
    versions = store.objects("*", 10)
    (sftp.server.files / "001").unlink()
    (sftp.server.files / "002").chmod(0)
    sftp.server.put("003", b"another")
    store.expect(versions)
    store.fetch(versions[0], tmp_path / "x", never_stop)
    with pytest.raises(SourceChanged, match=r"001' on .* was deleted"):
        store.fetch(versions[1], tmp_path / "x", never_stop)
    with pytest.raises(SourcePermissionDenied, match="002"):
        store.fetch(versions[2], tmp_path / "x", never_stop)
    with pytest.raises(SourceChanged, match=r"003' on .* was replaced"):
        store.fetch(versions[3], tmp_path / "x", never_stop)
