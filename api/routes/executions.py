"""Handlers of executions and their tasks."""

from __future__ import annotations

from functools import partial

from anyio import to_thread
from starlette.responses import Response

from api.endpoint import Call
from api.log_url import log_url
from api.wire.checking import checked
from api.wire.executions import Cancel, show_cancelled, show_execution, show_execution_alone, show_task
from ingestion.model.execution import Execution, ExecutionStatus, TaskStatus

POLL_AFTER_SECONDS = 2


async def execute_pipeline(call: Call) -> Response:
    """POST /pipelines/{pipeline_id}/execute."""
    only_checked = call.validates_only
    execution = await call.backend.executions.execute(
        call.part("pipeline_id"), call.body, call.principal.name, only_checked, call.new_id
    )
    if only_checked or execution.status.is_final:
        return call.success(show_execution(execution), status=200)
    return accepted(call, execution)


async def list_executions(call: Call) -> Response:
    """GET /pipelines/{pipeline_id}/executions."""
    query = call.query
    page, status = query.page(), query.choice("status", ExecutionStatus)
    start, end = query.period("start_date", "end_date")
    query.finish()
    pipeline_id, store = call.part("pipeline_id"), call.backend.store
    await to_thread.run_sync(store.pipelines.get, pipeline_id)
    read = partial(store.executions.list, pipeline_id, page, status, start, end)
    rows = await to_thread.run_sync(read)
    executions = await call.backend.refresher.refreshed(rows.items)
    return call.page([show_execution(execution) for execution in executions], page, rows.total)


async def get_execution(call: Call) -> Response:
    """GET /executions/{execution_id}."""
    return call.success(show_execution_alone(await call.backend.executions.get(call.part("execution_id"))))


async def list_tasks(call: Call) -> Response:
    """GET /executions/{execution_id}/tasks."""
    query = call.query
    page, status = query.page(), query.choice("status", TaskStatus)
    query.finish()
    execution = await call.backend.executions.get(call.part("execution_id"))
    read = partial(call.backend.store.executions.tasks, execution.execution_id, page, status)
    rows = await to_thread.run_sync(read)
    settings, ui_url = call.backend.settings, f"{call.base_url}/dagster" if call.backend.ui else None
    tasks = [show_task(task, log_url(settings, execution, task, ui_url)) for task in rows.items]
    return call.page(tasks, page, rows.total)


async def cancel_execution(call: Call) -> Response:
    """POST /executions/{execution_id}/cancel."""
    checked(Cancel, call.body)
    return call.success(show_cancelled(await call.backend.executions.cancel(call.part("execution_id"))))


async def retry_execution(call: Call) -> Response:
    """POST /executions/{execution_id}/retry."""
    execution = await call.backend.executions.retry(
        call.part("execution_id"), call.body, call.principal.name, call.new_id
    )
    return accepted(call, execution)


def accepted(call: Call, execution: Execution) -> Response:
    """202 for an execution that was accepted."""
    headers = {
        "Location": call.link_to(f"/executions/{execution.execution_id}"),
        "Retry-After": str(POLL_AFTER_SECONDS),
    }
    return call.success(show_execution(execution), status=202, headers=headers)
