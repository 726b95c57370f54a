"""Executions before they are shown: brought in line with their runs, in one question, or shown as stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.refresh import Refresher
from ingestion.errors import ServiceUnavailable, TargetBusy
from ingestion.model.execution import Execution, ExecutionStatus
from ingestion.orchestration.dagster_api import RunStatus
from ingestion.store import Store
from ingestion.warehouses.base import PublishResult
from ingestion_tests.api.live import StandInDagster
from ingestion_tests.store.samples import a_new_execution, with_pipeline


class BusyWarehouse:
    """A warehouse whose load records cannot be read just now."""

    def published(self, execution_id: str, target: Any) -> PublishResult | None:
        raise TargetBusy("the dataset is locked")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        opened.migrate()
        yield opened


@pytest.fixture
def dagster() -> StandInDagster:
    return StandInDagster()


@pytest.fixture
def executions(store: Store, dagster: StandInDagster) -> list[Execution]:
    """One that ended, one without a run, and two that run."""

    async def launched(execution: Execution) -> Execution:
        run_id = await dagster.launch(execution.dag_id, {}, {})
        assert store.executions.start(execution.execution_id, run_id)
        return store.executions.get(execution.execution_id)

    new = [store.executions.accept(a_new_execution(with_pipeline(store, f"p{n}"), f"e{n}")) for n in range(4)]
    ended, waiting, *others = new
    store.executions.cancel(ended.execution_id)
    return [
        store.executions.get(ended.execution_id),
        waiting,
        *(asyncio.run(launched(execution)) for execution in others),
    ]


def refreshed(store: Store, dagster: StandInDagster, executions: Sequence[Execution]) -> Sequence[Execution]:
    warehouse: Any = BusyWarehouse()
    return asyncio.run(Refresher(store, dagster, warehouse).refreshed(executions))


def test_one_question_brings_all_in_line(store: Store, dagster: StandInDagster, executions: list[Execution]) -> None:
    lost = str(executions[2].dagster_run_id)
    dagster.views[lost] = replace(dagster.views[lost], status=RunStatus.FAILURE)

    shown = refreshed(store, dagster, executions)

    assert [execution.execution_id for execution in shown] == ["e0", "e1", "e2", "e3"]
    assert [shown[index] for index in (0, 1, 3)] == [executions[index] for index in (0, 1, 3)]
    assert shown[2].error_details is not None
    assert shown[2].error_details.error_code == "WORKER_LOST"
    assert store.executions.get("e2") == shown[2]
    assert dagster.questions == 1


def test_nothing_is_asked_about_what_has_no_live_run(
    store: Store, dagster: StandInDagster, executions: list[Execution]
) -> None:
    assert refreshed(store, dagster, executions[:2]) == executions[:2]
    assert dagster.questions == 0


def test_without_dagster_they_are_shown_as_stored(
    store: Store, dagster: StandInDagster, executions: list[Execution], caplog: pytest.LogCaptureFixture
) -> None:
    dagster.answer_error = ServiceUnavailable("the web server is away")

    with caplog.at_level(logging.WARNING, logger="ingestion.api"):
        assert refreshed(store, dagster, executions) == executions

    assert "cannot tell about 2 runs: the web server is away" in caplog.text


def test_one_that_cannot_be_settled_leaves_the_others_alone(
    store: Store, dagster: StandInDagster, executions: list[Execution], caplog: pytest.LogCaptureFixture
) -> None:
    assert store.executions.claim_publish("e2")
    publishing = [store.executions.get(execution.execution_id) for execution in executions]
    for execution in executions[2:]:
        run_id = str(execution.dagster_run_id)
        dagster.views[run_id] = replace(dagster.views[run_id], status=RunStatus.FAILURE)

    with caplog.at_level(logging.WARNING, logger="ingestion.api"):
        shown = refreshed(store, dagster, publishing)

    assert shown[2] == publishing[2], "whether it published is not known"
    assert shown[3].status is ExecutionStatus.FAILED
    assert "execution e2 is not reconciled: the dataset is locked" in caplog.text
