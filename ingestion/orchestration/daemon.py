"""The daemon process: Dagster's schedules, sensors and run monitoring over the home's workspace."""

import logging
import sys
from contextlib import ExitStack

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.remote_representation.external import RemoteSchedule
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.workspace.workspace import CurrentWorkspace
from dagster._daemon.controller import DagsterDaemonController, create_daemons_from_instance
from dagster._time import get_current_timestamp
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


logger = logging.getLogger("ingestion.daemon")


class SchedulingWorkspace(FollowingWorkspace):
    """The daemon's workspace: new schedules count from when they are seen, not from the next full minute.

    Dagster's scheduler looks once a minute and starts counting a schedule at its first look, so the first slot of a
    schedule that is less than a minute old would be missed.
    """

    def refresh_code_location(self, name: str) -> None:
        """Load the location again."""
        super().refresh_code_location(name)
        note_new_schedules(self.instance, self.get_current_workspace())


def note_new_schedules(instance: dg.DagsterInstance, workspace: CurrentWorkspace) -> None:
    """Make the states of running schedules that have none yet."""
    known = {state.selector_id for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)}
    locations = (entry.code_location for entry in workspace.code_location_entries.values())
    for repository in (found for location in locations if location for found in location.get_repositories().values()):
        for schedule in repository.get_schedules():
            if schedule.selector_id not in known and schedule.default_status is dg.DefaultScheduleStatus.RUNNING:
                _note(instance, schedule)


def _note(instance: dg.DagsterInstance, schedule: RemoteSchedule) -> None:
    state = InstigatorState(
        schedule.get_remote_origin(),
        InstigatorType.SCHEDULE,
        InstigatorStatus.DECLARED_IN_CODE,
        ScheduleInstigatorData(schedule.cron_schedule, get_current_timestamp()),
    )
    try:
        instance.add_instigator_state(state)
    except DagsterInvariantViolationError:
        logger.debug("the scheduler was first to see the schedule %s", schedule.name)


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
            workspace = SchedulingWorkspace(instance, socket_path(settings, CODE_SOCKET), store.pipelines.change_token)
            stack.callback(workspace.close)
            controller = stack.enter_context(FollowingController(workspace, daemons))
            controller.check_daemon_loop()
    except KeyboardInterrupt:
        sys.exit(0)
