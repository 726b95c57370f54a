from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ingestion.processes.listener import AddressUnavailable, announce, bind, bound_settings, inherited, local_url
from ingestion.settings import Settings


def test_port_zero_takes_a_free_port_and_is_announced(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0)
    settings.sockets_dir.mkdir()
    with bind(settings.host, settings.port) as listener:
        bound = bound_settings(settings, listener)
        assert bound.port > 0
        assert announce(bound).read_text() == f"http://127.0.0.1:{bound.port}\n"


def test_a_taken_port_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=f"port {port} on 127.0.0.1 is taken by another program"):
            bind("127.0.0.1", port)


def test_an_unknown_host_is_explained() -> None:
    with pytest.raises(AddressUnavailable, match=r"cannot listen on '203\.0\.113\.7'|203\.0\.113\.7 port 0"):
        bind("203.0.113.7", 0)


def test_a_listener_is_inherited_by_its_number() -> None:
    with bind("127.0.0.1", 0) as listener:
        taken = inherited({"INGESTION_LISTEN_FD": str(listener.fileno())})
        assert taken is not None
        assert taken.getsockname() == listener.getsockname()
        taken.detach()
    assert inherited({}) is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_local_address_can_be_opened(host: str, url: str) -> None:
    assert local_url(Settings(host=host)) == url
