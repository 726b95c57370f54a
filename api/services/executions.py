"""Executions: accepted in the store, launched in Dagster, followed until they end."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from api.dagster_port import DagsterPort
from api.new_id import NewId
from api.request_id import current_request_id
from api.services.quarantine import selection_of
from api.services.target_calls import refuse_while_running
from api.wire.checking import checked, examined
from api.wire.executions import RETRY_OF, Execute, Retry
from api.wire.quarantine import Replay
from ingestion import clock
from ingestion.errors import (
    AlreadyRunning,
    Cancelled,
    IngestionError,
    InvalidConfiguration,
    InvalidRequest,
    InvalidState,
    LaunchFailed,
    NotFound,
    ServiceUnavailable,
)
from ingestion.model.execution import (
    REPLAY,
    Execution,
    ExecutionParams,
    ExecutionStatus,
    Trigger,
    dag_run_id_for,
)
from ingestion.model.pipeline import Pipeline
from ingestion.model.problems import Problem
from ingestion.model.quarantine import QuarantineSelection
from ingestion.model.source import Source
from ingestion.orchestration.launch import fail_launch, find_or_launch_execution, launch_execution
from ingestion.store import CancelOutcome, NewExecution, Store, pending_execution

REQUEST_ID_TAG = "ingestion/request_id"
POLL_SECONDS = 0.1
_TERMINATION_SECONDS = 10.0
_LAUNCH_SECONDS = 15.0
_LAUNCH_PAUSE_SECONDS = 0.5
_FORCE = "force_execution executes it all the same"

Refresh = Callable[[Sequence[Execution]], Awaitable[Sequence[Execution]]]
"""Executions as they are once Dagster was asked about those that have not ended."""

logger = logging.getLogger("ingestion.api")


class ExecutionService:
    """What the execution endpoints do."""

    def __init__(self, store: Store, dagster: DagsterPort, refresh: Refresh, sync_limit_seconds: float) -> None:
        self._store = store
        self._dagster = dagster
        self._refresh = refresh
        self._sync_limit_seconds = sync_limit_seconds

    async def execute(
        self, pipeline_id: str, body: Mapping[str, Any], by: str, validate_only: bool, new_id: NewId
    ) -> Execution:
        """Accept and launch an execution; with async_execution false, wait for its end or the limit.

        Raises NotFound, InvalidRequest, InvalidConfiguration, AlreadyRunning, LaunchFailed.
        """
        accepted = await self._accepted_before(new_id)
        if accepted is not None:
            return accepted if checked(Execute, body).async_execution else await self._ended(accepted)
        pipeline, source = await to_thread.run_sync(self._definition, pipeline_id)
        asked = checked(Execute, body)
        _check_params(asked.execution_params)
        if not asked.force_execution:
            _refuse_inactive(pipeline, source)
        new = NewExecution(
            execution_id=new_id.value,
            pipeline=pipeline,
            source_type=source.source_type,
            trigger=Trigger.API,
            execution_params=asked.execution_params,
            created_by=by,
            is_forced=asked.force_execution,
            queue_if_busy=asked.force_execution,
        )
        if validate_only:
            return await to_thread.run_sync(self._rehearsed, new)
        execution = await self._start(new)
        return execution if asked.async_execution else await self._ended(execution)

    async def retry(self, execution_id: str, body: Mapping[str, Any], by: str, new_id: NewId) -> Execution:
        """Execute a failed execution's pipeline again, from where it can go on.

        Raises NotFound, AlreadyRunning, InvalidState, InvalidRequest, InvalidConfiguration, LaunchFailed.
        """
        failed = await self.get(execution_id)
        asked = checked(Retry, body)
        accepted = await self._accepted_before(new_id)
        if accepted is not None:
            return accepted
        if not failed.status.is_final:
            raise AlreadyRunning(f"Execution '{execution_id}' is {failed.status} and cannot be retried before it ended")
        if failed.status is not ExecutionStatus.FAILED:
            raise InvalidState(f"Execution '{execution_id}' is {failed.status}; only a FAILED execution can be retried")
        pipeline, source = await to_thread.run_sync(self._definition, failed.pipeline_id)
        params = _overlaid(failed.execution_params, asked.execution_params)
        _check_params(asked.execution_params)
        _check_params(params and {name: value for name, value in params.items() if name != REPLAY})
        if not failed.is_forced:
            _refuse_inactive(pipeline, source)
        new = NewExecution(
            execution_id=new_id.value,
            pipeline=pipeline,
            source_type=source.source_type,
            trigger=Trigger.RETRY,
            execution_params=params,
            created_by=by,
            is_forced=failed.is_forced,
            retry_of_execution_id=execution_id,
        )
        return await self._start(new)

    async def replay(
        self,
        pipeline_id: str,
        body: Mapping[str, Any],
        by: str,
        new_id: NewId,
        open_rows: Callable[[QuarantineSelection], int],
    ) -> Execution:
        """Accept and launch an execution that takes OPEN rows of the quarantine in place of the source's.

        Raises NotFound, InvalidRequest, InvalidConfiguration, AlreadyRunning, InvalidState, LaunchFailed.
        """
        accepted = await self._accepted_before(new_id)
        if accepted is not None:
            return accepted
        pipeline, source = await to_thread.run_sync(self._definition, pipeline_id)
        asked = checked(Replay, body)
        _refuse_inactive(pipeline, source, "activate it to replay its rows")
        await to_thread.run_sync(refuse_while_running, self._store, pipeline_id)
        if not await to_thread.run_sync(open_rows, selection_of(pipeline_id, asked)):
            raise InvalidState("there are no OPEN rows in the quarantine that the request selects")
        new = NewExecution(
            execution_id=new_id.value,
            pipeline=pipeline,
            source_type=source.source_type,
            trigger=Trigger.REPLAY,
            execution_params={REPLAY: asked.model_dump(mode="json", exclude_none=True)},
            created_by=by,
            is_forced=False,
        )
        return await self._start(new)

    async def cancel(self, execution_id: str) -> Execution:
        """End an unfinished execution as cancelled, and its run. Raises NotFound, InvalidState."""
        outcome = await to_thread.run_sync(self._store.executions.cancel, execution_id)
        execution = await to_thread.run_sync(self._store.executions.get, execution_id)
        if outcome is CancelOutcome.TOO_LATE:
            reason = _why_too_late(execution)
            raise InvalidState(f"Execution '{execution_id}' {reason} and cannot be cancelled any more")
        if outcome is CancelOutcome.CANCELLED:
            await self._terminate(execution)
        return execution

    async def get(self, execution_id: str) -> Execution:
        """The execution as it is now. Raises NotFound."""
        execution = await to_thread.run_sync(self._store.executions.get, execution_id)
        return (await self._refresh([execution]))[0]

    async def _accepted_before(self, new_id: NewId) -> Execution | None:
        """What an interrupted attempt of the same request left. Without a run, it gets one from the reconciler."""
        if not new_id.may_exist:
            return None
        with contextlib.suppress(NotFound):
            return await to_thread.run_sync(self._store.executions.get, new_id.value)
        return None

    def _definition(self, pipeline_id: str) -> tuple[Pipeline, Source]:
        pipeline = self._store.pipelines.get(pipeline_id)
        return pipeline, self._store.sources.get(pipeline.source_id)

    def _rehearsed(self, new: NewExecution) -> Execution:
        """What accepting would answer, without anything stored."""
        if not new.queue_if_busy:
            for other in self._store.executions.unfinished():
                if other.pipeline_id == new.pipeline.pipeline_id:
                    raise AlreadyRunning(
                        f"Pipeline with ID '{other.pipeline_id}' is already running: execution '{other.execution_id}'"
                    )
        at = clock.now()
        return pending_execution(new, at, dag_run_id_for(new.pipeline.dag_id, at), is_queued=False)

    async def _start(self, new: NewExecution) -> Execution:
        # Shielded: once accepted, the execution is launched or failed, even when the service is told to stop.
        with anyio.CancelScope(shield=True):
            execution = await to_thread.run_sync(self._store.executions.accept, new)
            if not execution.is_queued and execution.dagster_run_id is None:
                await self._launch(execution)
        return execution

    async def _launch(self, execution: Execution) -> None:
        try:
            await self._launch_patiently(execution)
        except LaunchFailed as error:
            raise LaunchFailed(f"Execution '{execution.execution_id}' could not be started: {error.message}") from error
        await self._terminate_if_cancelled(execution.execution_id)

    async def _launch_patiently(self, execution: Execution) -> None:
        """Launch the run; a Dagster that is away is given a little time to come back."""
        deadline = time.monotonic() + _LAUNCH_SECONDS
        run_tags = {REQUEST_ID_TAG: current_request_id.get()}
        launch = launch_execution
        while True:
            try:
                return await launch(self._store, self._dagster, execution, run_tags)
            except ServiceUnavailable as error:
                if time.monotonic() >= deadline:
                    await fail_launch(self._store, execution, error.message)
                    raise LaunchFailed(error.message) from error
                logger.warning("execution %s is not launched yet: %s", execution.execution_id, error.message)
            await anyio.sleep(_LAUNCH_PAUSE_SECONDS)
            # The launch may have come through and only its answer was lost.
            launch = find_or_launch_execution

    async def _terminate_if_cancelled(self, execution_id: str) -> None:
        """A cancel that came while the run was being launched could not know the run."""
        stored = await to_thread.run_sync(self._store.executions.get, execution_id)
        if stored.error_details is not None and stored.error_details.error_code == Cancelled.code:
            await self._terminate(stored)

    async def _ended(self, execution: Execution) -> Execution:
        """The execution at its end, or as it is when the longest wait is over."""
        deadline = time.monotonic() + self._sync_limit_seconds
        read = partial(self._store.executions.get, execution.execution_id)
        while not execution.status.is_final and time.monotonic() < deadline:
            await anyio.sleep(POLL_SECONDS)
            execution = await to_thread.run_sync(read)
        return execution

    async def _terminate(self, execution: Execution) -> None:
        """Stop the run. The execution has ended whatever comes of it: its fence keeps the run from publishing."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_TERMINATION_SECONDS):
            try:
                for run_id in await self._runs_of(execution):
                    await self._dagster.terminate(run_id)
            except IngestionError as error:
                logger.warning("the run of execution %s was not stopped: %s", execution.execution_id, error.message)

    async def _runs_of(self, execution: Execution) -> Sequence[str]:
        if execution.dagster_run_id is not None:
            return [execution.dagster_run_id]
        if execution.is_queued:
            return []
        return [run.run_id for run in await self._dagster.runs_tagged(execution.execution_id)]


def _check_params(params: Mapping[str, Any] | None) -> None:
    if params is None:
        return
    problems = examined(ExecutionParams, params, "execution_params")[1]
    for name, set_by in ((RETRY_OF, "a retry"), (REPLAY, "a replay of the quarantine")):
        if name in params:
            problems.append(Problem(f"execution_params.{name}", f"is reserved: it is set by {set_by}"))
    if problems:
        raise InvalidRequest(problems)


def _refuse_inactive(pipeline: Pipeline, source: Source, otherwise: str = _FORCE) -> None:
    problems = []
    if not pipeline.is_active:
        problems.append(Problem("", f"Pipeline with ID '{pipeline.pipeline_id}' is not active"))
    if not source.is_active:
        problems.append(Problem("", f"Source system with ID '{source.source_id}' is not active"))
    if problems:
        problems.append(Problem("", otherwise))
        raise InvalidConfiguration(problems)


def _overlaid(original: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if original is None and given is None:
        return None
    return {**(original or {}), **(given or {})}


def _why_too_late(execution: Execution) -> str:
    return f"is {execution.status}" if execution.status.is_final else "is publishing its data"
