"""The proxy does what it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from ingestion_tests.servers.tcp_proxy import TcpProxy

SENT = bytes(range(256)) * 4096


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """A proxy to a server that sends SENT to everyone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=send, args=(connection,), daemon=True).start()

        def send(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.sendall(SENT)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        with TcpProxy("127.0.0.1", int(listener.getsockname()[1])) as made:
            yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def received(proxy: TcpProxy) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
        data = b""
        while more := connection.recv(1 << 16):
            data += more
        return data


def test_bytes_pass_and_are_counted(proxy: TcpProxy) -> None:
    assert received(proxy) == SENT
    assert (proxy.connections, proxy.bytes_from_server) == (1, len(SENT))


def test_the_first_connections_are_cut_after_so_many_bytes(proxy: TcpProxy) -> None:
    proxy.cut_after, proxy.cuts = 1000, 2
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            received(proxy)
    assert proxy.bytes_from_server == 2000
    assert received(proxy) == SENT


def test_a_refused_connection_is_reset(proxy: TcpProxy) -> None:
    proxy.refuse = True
    with pytest.raises(ConnectionResetError):
        received(proxy)
    assert proxy.connections == 0


def test_a_delay_holds_up_and_silence_stops(proxy: TcpProxy) -> None:
    proxy.delay_seconds = 0.05
    started = time.monotonic()
    assert received(proxy) == SENT
    assert time.monotonic() - started >= 0.05
    proxy.delay_seconds, proxy.silent = 0.0, True
    with socket.create_connection(("127.0.0.1", proxy.port), 0.3) as connection, pytest.raises(TimeoutError):
        connection.recv(1)
