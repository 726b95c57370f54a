"""The code server process: Dagster's own gRPC server of `ingestion.definitions`, on the home's unix socket."""

import contextlib

from dagster._cli.api import grpc_command

from ingestion.orchestration.deadline import end_within
from ingestion.orchestration.instance import export_settings
from ingestion.orchestration.tags import LOCATION_NAME
from ingestion.processes.lifeline import end_with_supervisor
from ingestion.processes.sockets import CODE_SOCKET, socket_path
from ingestion.settings import Settings

STOP_SECONDS = 3.0
"""How long the server may finish calls in flight; it would wait up to a minute by itself."""


def run_code_server(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or the end of the supervisor."""
    end_with_supervisor()
    end_within(STOP_SECONDS)
    socket = socket_path(settings, CODE_SOCKET)
    with contextlib.suppress(FileNotFoundError):
        socket.unlink()
    export_settings(settings)
    grpc_command.main(
        [
            *("--socket", str(socket)),
            *("--module-name", "ingestion.definitions"),
            *("--attribute", "ingestion"),
            *("--location-name", LOCATION_NAME),
            *("--log-level", "warning"),
        ],
        standalone_mode=False,
    )
