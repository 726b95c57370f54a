"""The loop: starts what waits and what was forgotten, and lives through outages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest

from ingestion.errors import ServiceUnavailable
from ingestion.model.execution import Execution, ExecutionStatus
from ingestion.model.pipeline import Pipeline
from ingestion.orchestration import reconcile as reconcile_module
from ingestion.orchestration.dagster_api import DagsterApi
from ingestion.orchestration.launch import execution_tags
from ingestion.orchestration.reconciler import Reconciler
from ingestion.warehouses import open_warehouse
from ingestion_tests.orchestration.deployment import Deployment, accept, ended, eventually, now_

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def reconciler(deployment: Deployment, dagster: DagsterApi) -> Reconciler:
    return Reconciler(deployment.store, open_warehouse(deployment.settings), dagster, interval_seconds=0.05)


def succeeded(deployment: Deployment, execution: Execution) -> Execution:
    def look() -> Execution | None:
        stored = deployment.store.executions.get(execution.execution_id)
        return stored if stored.status.is_final else None

    final = eventually(look)
    assert final.status is ExecutionStatus.SUCCESS, deployment.logs()
    return final


def test_a_queued_execution_starts_when_the_claim_is_free(
    deployment: Deployment, reconciler: Reconciler, quick: Pipeline
) -> None:
    first = accept(deployment.store, quick)
    second = accept(deployment.store, quick, queue_if_busy=True)
    now_(reconciler.turn())
    assert deployment.store.executions.get(second.execution_id).is_queued

    deployment.store.executions.cancel(first.execution_id)
    now_(reconciler.turn())

    assert succeeded(deployment, second).dagster_run_id is not None


def test_a_forgotten_execution_is_launched_after_the_grace(
    deployment: Deployment, reconciler: Reconciler, quick: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = accept(deployment.store, quick)
    now_(reconciler.turn())
    assert deployment.store.executions.get(forgotten.execution_id).dagster_run_id is None

    monkeypatch.setattr(reconcile_module, "LAUNCH_GRACE", timedelta(0))
    now_(reconciler.turn())

    succeeded(deployment, forgotten)


def test_a_run_that_was_launched_but_not_noted_is_found(
    deployment: Deployment,
    dagster: DagsterApi,
    reconciler: Reconciler,
    endless: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    execution = accept(deployment.store, endless)
    run_id = now_(dagster.launch(endless.dag_id, {}, execution_tags(execution)))

    monkeypatch.setattr(reconcile_module, "LAUNCH_GRACE", timedelta(0))
    now_(reconciler.turn())

    assert len(now_(dagster.runs_tagged(execution.execution_id))) == 1
    assert deployment.store.executions.get(execution.execution_id).dagster_run_id == run_id
    eventually(lambda: deployment.store.executions.get(execution.execution_id).status is ExecutionStatus.RUNNING)
    deployment.store.executions.cancel(execution.execution_id)
    now_(dagster.terminate(run_id))
    ended(dagster, run_id)


def test_it_lives_through_a_dagster_that_is_away(deployment: Deployment, quick: Pipeline) -> None:
    async def outage() -> bool:
        away = DagsterApi.over_http("http://127.0.0.1:9/dagster")
        reconciler = Reconciler(deployment.store, open_warehouse(deployment.settings), away, interval_seconds=0.01)
        with pytest.raises(ServiceUnavailable):
            await reconciler.turn()
        loop = asyncio.create_task(reconciler.run())
        await asyncio.sleep(0.3)
        lives = not loop.done()
        loop.cancel()
        await away.close()
        return lives

    execution = accept(deployment.store, quick)
    deployment.store.executions.start(execution.execution_id, "00000000-0000-0000-0000-000000000000")

    assert now_(outage())
    assert not deployment.store.executions.get(execution.execution_id).status.is_final
    deployment.store.executions.cancel(execution.execution_id)


def test_a_dataset_in_use_does_not_hold_up_other_executions(
    deployment: Deployment, dagster: DagsterApi, quick: Pipeline, endless: Pipeline
) -> None:
    publishing, other = accept(deployment.store, quick), accept(deployment.store, endless)
    for execution in (publishing, other):
        # Runs that Dagster does not know: both executions are lost, if nothing was published.
        deployment.store.executions.start(execution.execution_id, str(uuid.uuid4()))
    deployment.store.executions.claim_publish(publishing.execution_id)
    folder = deployment.settings.warehouse_dir
    folder.mkdir(exist_ok=True)
    reconciler = Reconciler(deployment.store, open_warehouse(deployment.settings, wait_seconds=0.2), dagster)
    command = [sys.executable, "-c", HOLD, str(folder / f"{quick.target_dataset}.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        now_(reconciler.turn())
        assert not deployment.store.executions.get(publishing.execution_id).status.is_final
        assert deployment.store.executions.get(other.execution_id).status is ExecutionStatus.FAILED
        holder.communicate(b"")
    now_(reconciler.turn())
    assert deployment.store.executions.get(publishing.execution_id).status is ExecutionStatus.FAILED
