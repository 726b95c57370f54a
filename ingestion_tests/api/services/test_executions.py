"""The execution service with a Dagster that fails and a client that leaves."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from api.new_id import NewId
from api.services.executions import ExecutionService
from ingestion.errors import AlreadyRunning, IngestionError, InvalidState, ServiceUnavailable
from ingestion.model.execution import Execution, ExecutionStatus
from ingestion.store import Store
from ingestion_tests.api.live import StandInDagster
from ingestion_tests.store.samples import with_pipeline


class Unstoppable(StandInDagster):
    """Cannot be told to terminate a run."""

    async def terminate(self, run_id: str) -> bool:
        raise ServiceUnavailable("the web server is away")


async def as_stored(executions: Sequence[Execution]) -> Sequence[Execution]:
    return executions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        opened.migrate()
        with_pipeline(opened)
        yield opened


def execute(service: ExecutionService, validate_only: bool = False) -> Execution:
    return anyio.run(service.execute, "p1", {}, "me", validate_only, NewId.fresh())


def test_a_rehearsal_answers_what_accepting_would_and_stores_nothing(store: Store) -> None:
    service = ExecutionService(store, StandInDagster(), as_stored, 1)
    rehearsed = execute(service, validate_only=True)
    assert store.executions.unfinished() == []
    accepted = execute(service)
    same = {"pipeline_id", "pipeline_revision", "dag_id", "status", "trigger", "is_forced", "created_by"}
    assert rehearsed.model_dump(include=same) == accepted.model_dump(include=same)
    with pytest.raises(AlreadyRunning, match=accepted.execution_id):
        execute(service, validate_only=True)


def test_a_client_that_leaves_during_the_launch_leaves_a_launched_execution(store: Store) -> None:
    dagster = StandInDagster()

    async def story() -> None:
        service = ExecutionService(store, dagster, as_stored, 1)
        with anyio.CancelScope() as scope:

            async def leave() -> None:
                scope.cancel()
                await anyio.sleep(0.05)

            dagster.while_launching = leave
            await service.execute("p1", {}, "me", False, NewId.fresh())

    anyio.run(story)
    (execution,) = store.executions.unfinished()
    assert execution.dagster_run_id == dagster.run_of(execution.execution_id)


def test_a_cancel_holds_even_when_the_run_cannot_be_stopped(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    service = ExecutionService(store, Unstoppable(), as_stored, 1)
    execution = execute(service)
    with caplog.at_level(logging.WARNING, logger="ingestion.api"):
        cancelled = anyio.run(service.cancel, execution.execution_id)
    assert cancelled.status is ExecutionStatus.FAILED
    assert "was not stopped: the web server is away" in caplog.text


def test_only_a_failed_execution_is_retried(store: Store) -> None:
    service = ExecutionService(store, StandInDagster(), as_stored, 1)
    execution = execute(service)

    def refused() -> type[IngestionError]:
        with pytest.raises(IngestionError) as caught:
            anyio.run(service.retry, execution.execution_id, {}, "me", NewId.fresh())
        return type(caught.value)

    assert refused() is AlreadyRunning
    assert store.executions.start(execution.execution_id, str(store.executions.unfinished()[0].dagster_run_id))
    assert store.executions.claim_publish(execution.execution_id)
    assert store.executions.succeed(execution.execution_id, 1, {})
    assert refused() is InvalidState
