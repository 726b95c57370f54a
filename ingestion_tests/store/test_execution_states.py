"""Any order of calls keeps the store's rules, and nothing that is final ever changes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ingestion.errors import AlreadyRunning, Cancelled, InvalidState
from ingestion.model.execution import ErrorDetails, Execution, Task, Trigger, task_ids_for
from ingestion.model.source import SourceType
from ingestion.store import CancelOutcome, Store
from ingestion_tests.store.samples import a_new_execution, broken_rules, with_pipeline

_ORDERS = 20
TASK_IDS = st.sampled_from(task_ids_for(SourceType.GCS))


class Executions(RuleBasedStateMachine):
    """Two pipelines and whatever the API, workers and the reconciler may do to their executions."""

    ids = Bundle("ids")
    tried = 0

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store.open(f"sqlite:///{Path(self.folder.name) / 'store.sqlite'}")
        self.store.migrate()
        self.pipelines = [with_pipeline(self.store, name) for name in ("p1", "p2")]
        self.final: dict[str, tuple[Execution, list[Task]]] = {}
        self.count = 0

    @rule(target=ids, pipeline=st.integers(0, 1), queue=st.booleans(), tick=st.booleans())
    def accept(self, pipeline: int, queue: bool, tick: bool) -> str:
        self.count += 1
        new = a_new_execution(
            self.pipelines[pipeline],
            f"e{self.count}",
            queue_if_busy=queue,
            replace_queued=queue and tick,
            trigger=Trigger.SCHEDULE if tick else Trigger.API,
        )
        try:
            return self.store.executions.accept(new).execution_id
        except AlreadyRunning as refusal:
            return str(refusal.facts["execution_id"])

    @rule(execution_id=ids, run=st.sampled_from(("a", "b")))
    def start(self, execution_id: str, run: str) -> None:
        started = self.store.executions.start(execution_id, f"{execution_id}-{run}")
        assert not started or self.store.executions.get(execution_id).dagster_run_id == f"{execution_id}-{run}"

    @rule(execution_id=ids)
    def claim_publish(self, execution_id: str) -> None:
        if self.store.executions.claim_publish(execution_id):
            assert self.store.executions.cancel(execution_id) is CancelOutcome.TOO_LATE

    @rule(execution_id=ids)
    def succeed(self, execution_id: str) -> None:
        self.store.executions.succeed(execution_id, 1, {})

    @rule(execution_id=ids, task_id=TASK_IDS)
    def fail(self, execution_id: str, task_id: str) -> None:
        self.store.executions.fail(execution_id, ErrorDetails(error_code="X", error_message="x", task_id=task_id))

    @rule(execution_id=ids)
    def cancel(self, execution_id: str) -> None:
        if self.store.executions.cancel(execution_id) is CancelOutcome.CANCELLED:
            assert not self.store.executions.claim_publish(execution_id)

    @rule()
    def promote(self) -> None:
        self.store.executions.promote_queued()

    @rule(execution_id=ids, task_id=TASK_IDS, change=st.sampled_from(("start_task", "finish_task", "skip_task")))
    def change_task(self, execution_id: str, task_id: str, change: str) -> None:
        try:
            getattr(self.store.executions, change)(execution_id, task_id, {"x": 1})
        except (Cancelled, InvalidState):
            return
        assert not self.store.executions.get(execution_id).status.is_final

    @invariant()
    def keeps_the_rules(self) -> None:
        assert broken_rules(self.store) == []

    @invariant()
    def keeps_what_is_final(self) -> None:
        for number in range(1, self.count + 1):
            execution_id = f"e{number}"
            tasks = self.store.executions.all_tasks(execution_id)
            if not tasks:
                continue  # It was refused.
            execution = self.store.executions.get(execution_id)
            if execution.status.is_final:
                assert self.final.setdefault(execution_id, (execution, tasks)) == (execution, tasks)

    def teardown(self) -> None:
        type(self).tried += 1
        self.store.close()
        self.folder.cleanup()


@pytest.mark.timeout(170)
def test_any_order_of_calls() -> None:
    run_state_machine_as_test(
        Executions,
        settings=settings(
            max_examples=_ORDERS, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
    assert Executions.tried >= _ORDERS
