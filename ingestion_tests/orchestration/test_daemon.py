"""The daemon's controller, and canaries for what it uses of Dagster's inside."""

from __future__ import annotations

import inspect
import time
from pathlib import Path

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, ScheduleInstigatorData
from dagster._daemon.controller import DagsterDaemonController
from dagster._scheduler.scheduler import launch_scheduled_runs

from ingestion.orchestration.daemon import FollowingController, SchedulingWorkspace, note_new_schedules
from ingestion.orchestration.schedules import schedule_name
from ingestion.orchestration.tags import LOCATION_NAME
from ingestion.orchestration.webserver import DagsterMount
from ingestion.orchestration.workspace import FollowingWorkspace
from ingestion_tests.orchestration.deployment import Deployment, a_pipeline, a_source, eventually


def test_it_never_reloads_by_the_clock() -> None:
    controller = FollowingController.__new__(FollowingController)

    assert controller.check_workspace_freshness(-1_000_000.0) == -1_000_000.0


def test_it_stops_in_time(deployment: Deployment, mount: DagsterMount) -> None:
    eventually(mount.instance.get_daemon_heartbeats)

    assert deployment.stop("daemon") < 10
    assert deployment.processes["daemon"].returncode == 0, deployment.logs()
    deployment.start("daemon")


def test_canary_the_daemon_reloads_through_the_method_we_replace() -> None:
    assert "self.check_workspace_freshness(" in inspect.getsource(DagsterDaemonController.check_daemon_loop)
    assert "check_workspace_freshness" in vars(FollowingController)


def test_new_schedules_count_from_when_they_are_seen(
    deployment: Deployment, mount: DagsterMount, tmp_path: Path
) -> None:
    source = a_source("Scheduled Source")
    deployment.store.sources.add(source)
    configuration = {"schedule": "0 3 * * *", "extraction_params": {"file_pattern": "rows.csv"}}
    on = deployment.store.pipelines.add(a_pipeline(source, "scheduled", configuration))
    off = deployment.store.pipelines.add(a_pipeline(source, "paused", configuration, is_active=False))
    eventually(lambda: {schedule_name(on.dag_id), schedule_name(off.dag_id)} <= schedules(mount))

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        note_new_schedules(instance, mount.workspace.get_current_workspace())
        states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        note_new_schedules(instance, mount.workspace.get_current_workspace())
        assert instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE) == states

    found = {state.instigator_name: state for state in states}
    assert schedule_name(off.dag_id) not in found
    noted = found[schedule_name(on.dag_id)]
    assert noted.status is InstigatorStatus.DECLARED_IN_CODE
    assert isinstance(noted.instigator_data, ScheduleInstigatorData)
    assert time.time() - 60 < (noted.instigator_data.start_timestamp or 0) <= time.time()


def schedules(mount: DagsterMount) -> set[str]:
    """Names of the schedules the web app sees."""
    location = mount.workspace.get_current_workspace().code_location_entries[LOCATION_NAME].code_location
    repositories = location.get_repositories().values() if location else ()
    return {schedule.name for repository in repositories for schedule in repository.get_schedules()}


def test_canary_new_schedules_are_looked_for_at_each_reload() -> None:
    assert "self.refresh_code_location(" in inspect.getsource(FollowingWorkspace._follow)
    assert "refresh_code_location" in vars(SchedulingWorkspace)


def test_canary_the_scheduler_goes_on_from_a_state_it_finds() -> None:
    source = inspect.getsource(launch_scheduled_runs)
    assert "schedule_state = all_schedule_states.get(schedule.selector_id)" in source
    assert "if not schedule_state:" in source
