"""A TCP proxy that does to a connection what networks do: cut it, hold it up, refuse it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16
_POLL_SECONDS = 0.1


class TcpProxy:
    """Forwards 127.0.0.1:`port` to a server; what it does to connections may be changed at any time.

    `cut_after` bytes from the server, a connection is reset; only the first `cuts` connections are (None: all).
    `delay_seconds` is waited before each chunk, `refuse` resets new connections at once. With `silent`, nothing
    passes any more in either direction, and nothing is closed. Use it as a context manager.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut_after: int | None = None
        self.cuts: int | None = None
        self.delay_seconds = 0.0
        self.refuse = False
        self.silent = False
        self.connections = 0
        """How many were accepted and not refused."""
        self.bytes_from_server = 0
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join()

    def cut_all(self) -> None:
        """Reset every open connection."""
        opened, self._open = self._open, []
        for connection in opened:
            _reset(connection)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(_POLL_SECONDS)
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return  # The listener was closed.
            if self.refuse:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                _reset(client)
                continue
            self.connections += 1
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            ending = threading.Lock()
            self._start(self._forward, client, server, ending, False, None)
            self._start(self._forward, server, client, ending, True, self._limit())

    def _limit(self) -> int | None:
        return self.cut_after if self.cuts is None or self.connections <= self.cuts else None

    def _forward(
        self,
        source: socket.socket,
        target: socket.socket,
        ending: threading.Lock,
        is_answer: bool,
        limit: int | None,
    ) -> None:
        """One direction of a connection. The first of the two that ends takes `ending` and says how both end."""
        passed = 0
        with contextlib.suppress(OSError):  # Whichever side ends first, the other is ended too.
            while data := source.recv(_CHUNK if limit is None else max(min(_CHUNK, limit - passed), 1)):
                while self.silent and not self._stopped.is_set():
                    time.sleep(_POLL_SECONDS)
                if self.delay_seconds:
                    self._stopped.wait(self.delay_seconds)
                target.sendall(data)
                passed += len(data)
                if is_answer:
                    self.bytes_from_server += len(data)
                if limit is not None and passed >= limit:
                    break
        if not ending.acquire(blocking=False):
            return
        reset = limit is not None and passed >= limit
        for end in (source, target):
            _reset(end) if reset else _shut(end)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _reset(connection: socket.socket) -> None:
    """Close with RST, as a firewall or a crashed host does."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    connection.close()
