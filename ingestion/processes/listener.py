"""The API's listening socket and the address clients use."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from ingestion.settings import Settings

LISTENER_VARIABLE = "INGESTION_LISTEN_FD"
ADDRESS_FILE = "api.url"
_BACKLOG = 2048
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class AddressUnavailable(Exception):
    """The service cannot listen on the address it was given."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises AddressUnavailable in words for people."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressUnavailable(f"cannot listen on {host!r}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressUnavailable(_reason(host, port, error)) from error
    return listener


def inherited(environment: Mapping[str, str] | None = None) -> socket.socket | None:
    """The listening socket the supervisor opened for this process, or None without a supervisor."""
    given = (os.environ if environment is None else environment).get(LISTENER_VARIABLE)
    return socket.socket(fileno=int(given)) if given else None


def bound_settings(settings: Settings, listener: socket.socket) -> Settings:
    """The settings with the port that was really taken."""
    return settings.model_copy(update={"port": int(listener.getsockname()[1])})


def local_url(settings: Settings) -> str:
    """The address of the API on this machine, without a path."""
    host = _ANY.get(settings.host) or (f"[{settings.host}]" if ":" in settings.host else settings.host)
    return f"http://{host}:{settings.port}"


def announce(settings: Settings) -> Path:
    """Write the address to `<home>/run/api.url`, for scripts that let the service choose the port."""
    path = settings.sockets_dir / ADDRESS_FILE
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(local_url(settings) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program; choose another one with --port (0 takes a free one)"
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port} of {host}; ports below 1024 often need more rights"
    return f"cannot listen on {host} port {port}: {error.strerror}"
