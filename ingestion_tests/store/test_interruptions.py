"""A process may end between any two statements: afterwards either all of a change is there or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from ingestion.model.execution import ErrorDetails, Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.store import Store
from ingestion_tests.store.samples import (
    a_new_execution,
    a_pipeline,
    a_source,
    broken_rules,
    publishing,
    running,
    with_pipeline,
)

FAILURE = ErrorDetails(error_code="WORKER_LOST", error_message="lost")


class _Killed(BaseException):
    """The process ends here."""


class _EndBeforeStatement:
    """Ends the work before its statement of that number (from 0) is sent, while it is active."""

    def __init__(self, number: int) -> None:
        self._left = number
        # Other tests may have stores at work in other threads.
        self._thread = threading.get_ident()

    def __enter__(self) -> None:
        event.listen(Engine, "before_cursor_execute", self._count)

    def __exit__(self, *exc_info: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        if threading.get_ident() != self._thread:
            return
        if self._left == 0:
            raise _Killed
        self._left -= 1


def _queued_behind_nothing(store: Store, pipeline: Pipeline) -> None:
    running(store, pipeline)
    store.executions.accept(a_new_execution(pipeline, "e2", queue_if_busy=True, trigger=Trigger.SCHEDULE))
    store.executions.fail("e1", FAILURE)


Work = Callable[[Store, Pipeline], object]
WORK: dict[str, tuple[Work, Work]] = {
    "accept": (
        lambda store, pipeline: None,
        lambda store, pipeline: store.executions.accept(a_new_execution(pipeline)),
    ),
    "replace": (
        _queued_behind_nothing,
        lambda store, pipeline: store.executions.accept(
            a_new_execution(pipeline, trigger=Trigger.SCHEDULE, queue_if_busy=True, replace_queued=True)
        ),
    ),
    "promote": (_queued_behind_nothing, lambda store, pipeline: store.executions.promote_queued()),
    "succeed": (publishing, lambda store, pipeline: store.executions.succeed("e1", 1, {})),
    "fail": (running, lambda store, pipeline: store.executions.fail("e1", FAILURE)),
    "cancel": (running, lambda store, pipeline: store.executions.cancel("e1")),
    "add a pipeline": (
        lambda store, pipeline: None,
        lambda store, pipeline: store.pipelines.add(a_pipeline("new", source_id=pipeline.source_id)),
    ),
    "update a pipeline": (lambda store, pipeline: None, lambda store, pipeline: store.pipelines.update(pipeline, 1)),
    "delete a pipeline": (lambda store, pipeline: None, lambda store, pipeline: store.pipelines.delete("p1")),
    "add a source": (lambda store, pipeline: None, lambda store, pipeline: store.sources.add(a_source("new"))),
}


def _all_that_is_stored(store: Store) -> list[object]:
    database = store.sources._database
    with database.read() as connection:
        tables = ("sources", "pipelines", "pipeline_revisions", "definition_token", "executions", "tasks", "claims")
        return [sorted(map(str, connection.exec_driver_sql(f"SELECT * FROM {table}"))) for table in tables]


@pytest.mark.parametrize("name", WORK)
def test_work_that_is_interrupted_leaves_all_or_nothing(store: Store, name: str) -> None:
    prepare, work = WORK[name]
    pipeline = with_pipeline(store)
    prepare(store, pipeline)
    before = _all_that_is_stored(store)
    for number in range(100):
        try:
            with _EndBeforeStatement(number):
                work(store, pipeline)
        except _Killed:
            assert _all_that_is_stored(store) == before
        else:
            break
    assert number > 1
    assert _all_that_is_stored(store) != before
    assert broken_rules(store) == []


_LIVES = """
import sys
from ingestion.store import Store
from ingestion_tests.store.samples import a_new_execution

with Store.open(sys.argv[1]) as store:
    pipeline = store.pipelines.get("p1")
    print("ready", flush=True)
    while True:
        execution = store.executions.accept(a_new_execution(pipeline))
        queued = store.executions.accept(a_new_execution(pipeline, queue_if_busy=True))
        store.executions.start(execution.execution_id, execution.execution_id)
        store.executions.start_task(execution.execution_id, "extract_from_gcs", {})
        store.executions.claim_publish(execution.execution_id)
        store.executions.succeed(execution.execution_id, 1, {})
        store.executions.promote_queued()
        store.executions.cancel(queued.execution_id)
"""


def test_killed_processes_leave_a_store_that_works(store: Store, store_url: str) -> None:
    pipeline = with_pipeline(store)
    process = subprocess.Popen([sys.executable, "-c", _LIVES, store_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as output:
        assert output.readline() == "ready\n"
        time.sleep(0.4)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    for execution in store.executions.unfinished():
        store.executions.fail(execution.execution_id, FAILURE)
    assert broken_rules(store) == []
    assert not store.executions.accept(a_new_execution(pipeline)).is_queued
    assert broken_rules(store) == []
