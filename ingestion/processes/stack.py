"""Which processes make the service, and how each one shows that it is ready."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ingestion.processes.child import ChildSpec
from ingestion.processes.listener import LISTENER_VARIABLE
from ingestion.processes.sockets import CODE_SOCKET, LAUNCHER_SOCKET, socket_path
from ingestion.settings import Settings

PROBE_SECONDS = 2.0
_PING = b'{"op": "ping"}\n'

MIGRATE = "migrate"
LAUNCHER = "launcher"
CODE_SERVER = "code-server"
DAEMON = "daemon"
API = "api"


def command(name: str) -> Sequence[str]:
    """How this installation runs a subcommand, whatever PATH says and whatever modules the current folder holds."""
    return [sys.executable, "-P", "-m", "ingestion", name]


def service_specs(settings: Settings, listener: socket.socket) -> list[ChildSpec]:
    """The service's children in the order they start; the API takes its connections from `listener`.

    What has to wait for the databases or for another process does so; the rest of the time goes into imports, which
    therefore overlap. The launcher's grace holds that of its run workers.
    """
    launcher_socket = socket_path(settings, LAUNCHER_SOCKET)
    code_socket = socket_path(settings, CODE_SOCKET)
    return [
        ChildSpec(MIGRATE, command(MIGRATE), once=True),
        ChildSpec(LAUNCHER, command(LAUNCHER), replies(launcher_socket, _PING), stop_grace=20.0),
        ChildSpec(CODE_SERVER, command(CODE_SERVER), accepts(code_socket), stop_grace=10.0, after=(MIGRATE,)),
        ChildSpec(DAEMON, command(DAEMON), stop_grace=15.0, after=(LAUNCHER, CODE_SERVER)),
        ChildSpec(
            API,
            command(API),
            answers(settings.host, settings.port, "/readyz"),
            stop_grace=15.0,
            after=(MIGRATE,),
            environment={LISTENER_VARIABLE: str(listener.fileno())},
            descriptors=(listener.fileno(),),
        ),
    ]


def accepts(path: Path) -> Callable[[], bool]:
    """A check that a process accepts connections on a unix socket."""

    def check() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(PROBE_SECONDS)
            try:
                probe.connect(str(path))
            except OSError:
                return False
            return True

    return check


def replies(path: Path, request: bytes) -> Callable[[], bool]:
    """A check that a process answers a request on a unix socket, with anything at all."""

    def check() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(PROBE_SECONDS)
            try:
                probe.connect(str(path))
                probe.sendall(request)
                return bool(probe.recv(1))
            except OSError:
                return False

    return check


def answers(host: str, port: int, path: str) -> Callable[[], bool]:
    """A check that a GET of `path` on this machine is answered with 200."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    def check() -> bool:
        connection = http.client.HTTPConnection(address, port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check
