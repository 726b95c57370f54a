"""Runs in forked workers: from launch to end, terminated, killed, and without their launcher."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from ingestion.errors import LaunchFailed
from ingestion.model.execution import ExecutionStatus, TaskStatus, Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.orchestration.dagster_api import DagsterApi, RunStatus
from ingestion.orchestration.reconciler import Reconciler
from ingestion.warehouses import open_warehouse
from ingestion_tests.orchestration.deployment import Deployment, ended, eventually, launched, now_, run_of, working

STEPS = ["extract_from_gcs", "transform_data", "load_to_bigquery", "validate_data_quality"]


def test_a_run_started_in_dagster_succeeds_and_is_an_execution(
    deployment: Deployment, dagster: DagsterApi, quick: Pipeline
) -> None:
    run_id = now_(dagster.launch(quick.dag_id, {"batch_size": 2, "note": "by hand"}, {}))

    view = ended(dagster, run_id)

    assert view.status is RunStatus.SUCCESS, deployment.logs()
    assert [(step.step_key, step.status) for step in view.steps] == [(step, "SUCCESS") for step in STEPS]
    execution = deployment.store.executions.get(run_id)
    assert (execution.status, execution.trigger, execution.created_by) == (
        ExecutionStatus.SUCCESS,
        Trigger.RUN,
        "system",
    )
    assert execution.execution_params == {"batch_size": 2, "note": "by hand"}
    assert execution.records_processed == 3
    statuses = [task.status for task in deployment.store.executions.all_tasks(run_id)]
    assert statuses == [TaskStatus.SUCCESS, TaskStatus.SKIPPED, TaskStatus.SUCCESS, TaskStatus.SUCCESS]
    assert (deployment.settings.logs_dir / "runs" / f"{run_id}.log").exists()
    assert not (deployment.settings.staging_dir / run_id).exists()


def test_a_terminated_run_is_cancelled_on_both_sides(
    deployment: Deployment, dagster: DagsterApi, endless: Pipeline
) -> None:
    run_id = now_(dagster.launch(endless.dag_id, {}, {}))
    pid = working(deployment, dagster, run_id)

    assert now_(dagster.terminate(run_id))

    assert ended(dagster, run_id).status is RunStatus.CANCELED
    execution = deployment.store.executions.get(run_id)
    assert execution.status is ExecutionStatus.FAILED
    assert execution.error_details is not None
    assert execution.error_details.error_code == "CANCELLED"
    eventually(lambda: not psutil.pid_exists(pid))
    assert not now_(dagster.terminate(run_id))


def test_a_killed_worker_is_noticed_and_its_execution_reconciled(
    deployment: Deployment, dagster: DagsterApi, endless: Pipeline
) -> None:
    run_id = now_(dagster.launch(endless.dag_id, {}, {}))
    os.kill(working(deployment, dagster, run_id), signal.SIGKILL)
    killed_at = time.monotonic()

    view = ended(dagster, run_id, limit=20)
    now_(Reconciler(deployment.store, open_warehouse(deployment.settings), dagster).turn())

    assert view.status is RunStatus.FAILURE
    assert time.monotonic() - killed_at < 15
    error = deployment.store.executions.get(run_id).error_details
    assert error is not None
    assert (error.error_code, error.task_id) == ("WORKER_LOST", "extract_from_gcs")
    tasks = deployment.store.executions.all_tasks(run_id)
    assert [task.status for task in tasks] == [TaskStatus.FAILED] + [TaskStatus.UPSTREAM_FAILED] * 3


def test_workers_outlive_a_launcher_that_is_killed(
    deployment: Deployment, dagster: DagsterApi, endless: Pipeline, quick: Pipeline
) -> None:
    run_id = now_(dagster.launch(endless.dag_id, {}, {}))
    pid = working(deployment, dagster, run_id)

    deployment.processes["launcher"].kill()
    deployment.processes["launcher"].wait()
    with pytest.raises(LaunchFailed, match="launcher process does not answer"):
        now_(dagster.launch(quick.dag_id, {}, {}))
    time.sleep(6)  # Longer than run monitoring waits between two looks.

    assert psutil.pid_exists(pid)
    assert run_of(dagster, run_id).status is RunStatus.STARTED

    deployment.start("launcher")
    assert now_(dagster.terminate(run_id))
    assert ended(dagster, run_id).status is RunStatus.CANCELED
    again = eventually(lambda: launched(dagster, quick))
    assert ended(dagster, again).status is RunStatus.SUCCESS, deployment.logs()


def test_a_launcher_that_is_stopped_takes_its_workers_along(
    deployment: Deployment, dagster: DagsterApi, endless: Pipeline
) -> None:
    run_id = now_(dagster.launch(endless.dag_id, {}, {}))
    pid = working(deployment, dagster, run_id)

    assert deployment.stop("launcher") < 10

    assert not psutil.pid_exists(pid)
    assert ended(dagster, run_id).status is RunStatus.FAILURE
    error = deployment.store.executions.get(run_id).error_details
    assert error is not None
    assert error.error_code == "WORKER_LOST", "nobody cancelled it"
    deployment.start("launcher")
