"""Looking into a pipeline's target from the API: quickly, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.errors import AlreadyRunning, ServiceUnavailable, TargetBusy, TargetFailed
from ingestion.model.pipeline import Pipeline
from ingestion.store import Store
from ingestion.warehouses.base import TargetTable


def target_of(pipeline: Pipeline) -> TargetTable:
    """The table a pipeline loads into."""
    return TargetTable(pipeline.target_dataset, pipeline.target_table)


@contextmanager
def target_failures() -> Iterator[None]:
    """A target that is in use or away is an answer that asks to come back, not a defect."""
    try:
        yield
    except (TargetBusy, TargetFailed) as error:
        raise ServiceUnavailable(error.message) from error


def refuse_while_running(store: Store, pipeline_id: str) -> None:
    """Raises AlreadyRunning while an execution of the pipeline is unfinished."""
    for other in store.executions.unfinished():
        if other.pipeline_id == pipeline_id:
            raise AlreadyRunning(
                f"Pipeline with ID '{pipeline_id}' is already running: execution '{other.execution_id}'"
            )
