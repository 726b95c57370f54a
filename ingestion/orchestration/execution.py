"""The body of each op: one task of an execution, with every step of its way kept in the store."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from ingestion import clock
from ingestion.errors import (
    Cancelled,
    ConnectionFailed,
    IngestionError,
    QualityFailed,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
    UnexpectedFailure,
    WorkerLost,
)
from ingestion.model.execution import ErrorDetails, Execution, task_ids_for
from ingestion.model.pipeline import Pipeline
from ingestion.model.quality import CheckResult
from ingestion.model.source import Source, SourceStatus
from ingestion.orchestration import events
from ingestion.orchestration.acceptance import NotOurs, accepted_execution
from ingestion.orchestration.outcome import execution_metrics, settle_published
from ingestion.orchestration.services import Services, services
from ingestion.steps import (
    StepContext,
    StepOutcome,
    adopt_staging,
    discard_staging,
    extract,
    load,
    publish,
    transform,
    validate,
)

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation
Tell = Callable[[Event], None]

PROGRESS_SECONDS = 0.5
"""Least time between two progress writes of a task."""

TERMINATED = "Execution cancelled: its run was terminated"
STOPPED = "The service stopped during the execution; nothing was published, and a retry goes on from what is staged"

_UNREACHABLE = (ConnectionFailed, SourceAuthenticationFailed, SourcePermissionDenied, TimedOut, TlsFailed)
_TERMINATING = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_VALIDATE = 3


def run_task(context: dg.OpExecutionContext, index: int, tell: Tell) -> None:
    """Do task `index` of the run's execution; `tell` takes what is worth an event in Dagster.

    Raises dg.Failure, or Dagster's interrupt for a cancelled execution.
    """
    here = services()
    try:
        accepted = accepted_execution(here.store, context.run)
    except NotOurs as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except IngestionError as error:
        raise events.failure(error) from error
    if accepted.is_first_task:
        _catch_up(context, here, accepted.execution, index)
    _Task(context, here, accepted.execution, index, tell).perform()


def _catch_up(context: dg.OpExecutionContext, here: Services, execution: Execution, index: int) -> None:
    """Bring a new execution to the task its run begins with.

    What the execution it retries has staged is used again where it is whole. A run of the remaining steps only
    (re-execution from failure in Dagster's UI) does the earlier tasks here, which is quick with staged files.
    """
    if execution.retry_of_execution_id is not None:
        _Task(context, here, execution, 0, _untold).adopt(execution.retry_of_execution_id)
    for earlier in range(index):
        _Task(context, here, execution, earlier, _untold).perform()


def _untold(event: Event) -> None:
    """Only the last task, which is never caught up on, has events."""


class _Task:
    """One task of a running execution."""

    def __init__(
        self, context: dg.OpExecutionContext, here: Services, execution: Execution, index: int, tell: Tell
    ) -> None:
        self._context = context
        self._here = here
        self._execution = execution
        self._index = index
        self._tell = tell
        self._task_id = task_ids_for(execution.source_type)[index]
        self._executions = here.store.executions
        self._last_progress = time.monotonic()

    def adopt(self, before: str) -> None:
        """Use what the execution `before` has staged, if that is whole and means the same."""
        with self._recorded():
            if adopt_staging(self._step_context(), before):
                self._context.log.info(f"staged files of execution {before} are whole and are used again")

    def perform(self) -> None:
        """Run the step between the task's start and end in the store."""
        with self._recorded():
            self._executions.start_task(self._execution.execution_id, self._task_id, {})
            if self._index == _VALIDATE:
                self._validate_and_publish()
            else:
                self._finish(self._run_step((extract, transform, load)[self._index]))

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """However the task ends, the execution ends truly in the store and visibly in Dagster."""
        try:
            yield
        except Cancelled as error:
            # The store said so: the execution has ended, there is nothing to write.
            self._context.log.warning(error.message)
            self._discard_if_cancelled()
            self._note_termination()
            raise DagsterExecutionInterruptedError from error
        except IngestionError as error:
            self._fail(error, error)
        except Exception as error:
            self._context.log.exception("an error that no step expects")
            self._fail(UnexpectedFailure(f"{type(error).__name__}: {_first_line(error)}"), error)
        except BaseException:
            # SIGTERM arrives as DagsterExecutionInterruptedError, SIGINT as KeyboardInterrupt.
            self._interrupted()
            raise

    def _run_step(self, step: Callable[[StepContext], StepOutcome]) -> StepOutcome:
        source = self._source()
        try:
            outcome = step(self._step_context())
        except _UNREACHABLE:
            if self._index == 0:
                self._here.store.sources.set_status(source.source_id, SourceStatus.ERROR)
            raise
        if self._index == 0 and not outcome.skipped:
            self._here.store.sources.set_status(source.source_id, SourceStatus.CONNECTED)
        return outcome

    def _finish(self, outcome: StepOutcome) -> None:
        self._context.log.info(f"{self._task_id}: {_one_line(outcome.metrics)}")
        if outcome.skipped:
            self._executions.skip_task(self._execution.execution_id, self._task_id, outcome.metrics)
        else:
            self._executions.finish_task(
                self._execution.execution_id, self._task_id, outcome.metrics, outcome.params or None
            )

    def _validate_and_publish(self) -> None:
        step_context = self._step_context()
        pipeline = step_context.pipeline
        try:
            outcome = validate(step_context)
        except QualityFailed as error:
            self._note_failed_checks(pipeline, error)
            raise
        self._tell_checks(pipeline, outcome.checks)
        if not self._executions.claim_publish(self._execution.execution_id):
            raise Cancelled("Execution cancelled before it could publish", execution_id=self._execution.execution_id)
        result = publish(step_context)
        self._finish(outcome)
        tasks = self._executions.all_tasks(self._execution.execution_id)
        metrics = execution_metrics(self._execution, tasks, result, clock.now())
        self._executions.succeed(self._execution.execution_id, result.loaded, metrics)
        self._tell(events.materialization(pipeline, self._execution, result, metrics, tasks))
        self._discard(is_published=True)

    def _tell_checks(self, pipeline: Pipeline, checks: Iterable[CheckResult]) -> None:
        for evaluation in events.check_evaluations(pipeline, checks):
            self._tell(evaluation)

    def _note_failed_checks(self, pipeline: Pipeline, error: QualityFailed) -> None:
        self._tell_checks(pipeline, error.facts["checks"])
        self._executions.start_task(self._execution.execution_id, self._task_id, error.facts["params"])
        self._executions.progress_task(self._execution.execution_id, self._task_id, error.facts["metrics"])

    def _fail(self, error: IngestionError, cause: Exception) -> NoReturn:
        details = ErrorDetails(error_code=error.code, error_message=error.message, task_id=self._task_id)
        if not settle_published(self._here.store, self._here.warehouse, self._current()):
            self._executions.fail(self._execution.execution_id, details)
        raise events.failure(error) from cause

    def _interrupted(self) -> None:
        is_terminated = self._is_terminated()
        if is_terminated:
            self._executions.cancel(self._execution.execution_id, TERMINATED)
        # Interrupted while it published: the warehouse knows whether that came through.
        if not settle_published(self._here.store, self._here.warehouse, self._current()):
            code, message = (Cancelled.code, TERMINATED) if is_terminated else (WorkerLost.code, STOPPED)
            details = ErrorDetails(error_code=code, error_message=message, task_id=self._task_id)
            self._executions.fail(self._execution.execution_id, details)
        self._discard_if_cancelled()

    def _is_terminated(self) -> bool:
        """Whether somebody asked for the end of this run, rather than of the whole service."""
        run = self._context.instance.get_run_by_id(self._context.run_id)
        return run is not None and run.status in _TERMINATING

    def _note_termination(self) -> None:
        # Without this mark Dagster takes an interrupt for a failure, which the end of the service is.
        run = self._context.instance.get_run_by_id(self._context.run_id)
        if run is not None and run.status is dg.DagsterRunStatus.STARTED:
            self._context.instance.report_run_canceling(run, TERMINATED)

    def _discard_if_cancelled(self) -> None:
        # The staging of any other failure is kept for a retry.
        error = self._current().error_details
        if error is not None and error.error_code == Cancelled.code:
            self._discard()

    def _discard(self, *, is_published: bool = False) -> None:
        try:
            discard_staging(self._here.settings, self._execution.execution_id, is_published=is_published)
        except (IngestionError, OSError) as error:
            # The execution has ended, and what is left over does no harm but for its size.
            self._context.log.warning(f"staged data could not be removed: {error}")

    def _step_context(self) -> StepContext:
        source = self._source()
        return StepContext(
            execution=self._execution,
            pipeline=self._pipeline(),
            source=source,
            settings=self._here.settings,
            connector=self._here.connector(source),
            warehouse=self._here.warehouse,
            progress=self._progress,
        )

    def _pipeline(self) -> Pipeline:
        # The revision that was accepted, whatever the pipeline has become since.
        return self._here.store.pipelines.revision(self._execution.pipeline_id, self._execution.pipeline_revision)

    def _source(self) -> Source:
        return self._here.store.sources.get(self._pipeline().source_id)

    def _current(self) -> Execution:
        return self._executions.get(self._execution.execution_id)

    def _progress(self, metrics: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - self._last_progress < PROGRESS_SECONDS:
            return
        self._last_progress = now
        # Raises Cancelled when the execution does not run any more.
        self._executions.progress_task(self._execution.execution_id, self._task_id, metrics)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:500]


def _one_line(metrics: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in metrics.items()) or "nothing to do"
