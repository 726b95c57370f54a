"""The daemon process: Dagster's schedules, sensors and run monitoring over the home's workspace."""

import sys
from contextlib import ExitStack

from dagster._daemon.controller import DagsterDaemonController, create_daemons_from_instance
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
from dagster._utils.log import configure_loggers

from ingestion.orchestration.deadline import end_within
from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.workspace import FollowingWorkspace
from ingestion.processes.lifeline import end_with_supervisor
from ingestion.processes.sockets import CODE_SOCKET, socket_path
from ingestion.settings import Settings
from ingestion.store import Store

STOP_SECONDS = 5.0
"""How long daemon threads may finish what they do; Dagster would wait up to 30 s for each."""


class FollowingController(DagsterDaemonController):
    """The controller without its own minute-long reload interval: our workspace follows changes by itself."""

    def check_workspace_freshness(self, last_workspace_update_time: float) -> float:
        """Nothing to do."""
        return last_workspace_update_time


def run_daemon(settings: Settings) -> None:
    """Run until SIGTERM, SIGINT or the end of the supervisor."""
    end_with_supervisor()
    end_within(STOP_SECONDS)
    setup_interrupt_handlers()
    configure_loggers(log_level="WARNING")
    try:
        with ExitStack() as stack:
            stack.enter_context(capture_interrupts())
            instance = stack.enter_context(open_instance(settings))
            store = stack.enter_context(Store.open(settings.store_url))
            daemons = [stack.enter_context(daemon) for daemon in create_daemons_from_instance(instance)]
            workspace = FollowingWorkspace(instance, socket_path(settings, CODE_SOCKET), store.pipelines.change_token)
            stack.callback(workspace.close)
            controller = stack.enter_context(FollowingController(workspace, daemons))
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        sys.exit(0)
