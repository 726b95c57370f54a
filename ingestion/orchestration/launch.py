"""Launching the run of an accepted execution: by the API at once, by the reconciler when that did not come through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ingestion.errors import InvalidState, LaunchFailed
from ingestion.model.execution import ErrorDetails, Execution
from ingestion.orchestration import tags
from ingestion.orchestration.dagster_api import RunView
from ingestion.store import Store

LAUNCH_FAILED = "LAUNCH_FAILED"
"""error_code of an execution whose run could not be launched."""

logger = logging.getLogger("ingestion.launch")


class LaunchPort(Protocol):
    """What launching needs of DagsterApi."""

    async def launch(
        self, dag_id: str, params: Mapping[str, Any], tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> str:
        """Start a run of a job; the run's id."""
        ...

    async def runs_tagged(self, execution_id: str) -> Sequence[RunView]:
        """The runs that were started for an execution."""
        ...


def execution_tags(execution: Execution) -> Mapping[str, str]:
    """The tags of an execution's run."""
    return {
        tags.EXECUTION_ID: execution.execution_id,
        tags.PIPELINE_ID: execution.pipeline_id,
        tags.REVISION: str(execution.pipeline_revision),
    }


async def launch_execution(
    store: Store, dagster: LaunchPort, execution: Execution, more_tags: Mapping[str, str] | None = None
) -> None:
    """Launch the run and note it.

    Raises LaunchFailed after failing the execution, and ServiceUnavailable while Dagster is away: then the
    execution stays PENDING, to be launched later.
    """
    run_tags = {**execution_tags(execution), **(more_tags or {})}
    parent_run_id = await asyncio.to_thread(_parent_run_id, store, execution)
    try:
        run_id = await dagster.launch(execution.dag_id, execution.execution_params or {}, run_tags, parent_run_id)
    except LaunchFailed as error:
        await fail_launch(store, execution, error.message)
        raise
    await _attach(store, execution, run_id)


async def find_or_launch_execution(
    store: Store, dagster: LaunchPort, execution: Execution, more_tags: Mapping[str, str] | None = None
) -> None:
    """As `launch_execution`, where an earlier attempt may have come through without being noted."""
    launched = await dagster.runs_tagged(execution.execution_id)
    if launched:
        await _attach(store, execution, launched[0].run_id)
    else:
        await launch_execution(store, dagster, execution, more_tags)


async def fail_launch(store: Store, execution: Execution, message: str) -> None:
    """End an execution that has no run."""
    details = ErrorDetails(error_code=LAUNCH_FAILED, error_message=message)
    await asyncio.to_thread(store.executions.fail, execution.execution_id, details)


async def _attach(store: Store, execution: Execution, run_id: str) -> None:
    try:
        await asyncio.to_thread(store.executions.attach_run, execution.execution_id, run_id)
    except InvalidState as error:
        # Another process launched it as well, and that run was first; this one will find that out and end.
        logger.info("%s", error.message)


def _parent_run_id(store: Store, execution: Execution) -> str | None:
    before = execution.retry_of_execution_id
    return None if before is None else store.executions.get(before).dagster_run_id
