"""Serving the API."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import uvicorn

from api.app import create_app
from api.request_id import RequestIdFilter
from ingestion.processes.lifeline import end_with_supervisor
from ingestion.processes.listener import announce, bind, bound_settings, inherited
from ingestion.settings import Settings

SHUTDOWN_SECONDS = 5
"""How long requests under way may take to end once the service is told to stop."""
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def run_api(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT. Raises AddressUnavailable.

    Once it answers, its address is in `<home>/run/api.url`, also when port 0 took a free one.
    """
    end_with_supervisor()
    _log_to_stderr()
    own = inherited()
    listener = own if own is not None else bind(settings.host, settings.port)
    with listener:
        # A supervisor has opened the listener and tells the address itself.
        _Server(bound_settings(settings, listener), announces=own is None).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells its address when it answers, and forgets it when it stops."""

    def __init__(self, settings: Settings, announces: bool) -> None:
        self._settings = settings
        self._announces = announces
        self._address_file: Path | None = None
        super().__init__(
            uvicorn.Config(
                create_app(settings),
                loop="uvloop",
                http="httptools",
                ws="websockets-sansio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                forwarded_allow_ips="",
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, and then the address is written."""
        await super().startup(sockets)
        if self.started and self._announces:
            self._settings.sockets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._address_file = announce(self._settings)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, once the address is not told any more."""
        if self._address_file is not None:
            self._address_file.unlink(missing_ok=True)
        await super().shutdown(sockets)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    handler.addFilter(RequestIdFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("alembic", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
