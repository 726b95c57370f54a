"""The API process: the application on uvicorn."""

from __future__ import annotations

import logging

import uvicorn

from api.app import create_app
from ingestion.processes.lifeline import end_with_supervisor
from ingestion.processes.listener import announce, bind, bound_settings, inherited
from ingestion.settings import Settings

DRAIN_SECONDS = 10
"""How long requests in flight may take once the process is told to stop."""


def run_api(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or the end of the supervisor. Raises AddressUnavailable.

    A supervisor hands its listening socket over, so that connections wait while this process is restarted; without
    one the socket is opened here.
    """
    end_with_supervisor()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    listener = inherited()
    if listener is None:
        listener = bind(settings.host, settings.port)
        settings = bound_settings(settings, listener)
        settings.sockets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        announce(settings)
    config = uvicorn.Config(
        create_app(settings),
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[listener])
