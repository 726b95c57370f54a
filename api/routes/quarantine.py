"""Handlers of quarantined rows and of the pipeline's state, which both live with the target."""

from __future__ import annotations

from functools import partial

from anyio import to_thread
from starlette.responses import Response

from api.endpoint import Call
from api.routes.executions import accepted
from api.services.state import tag_of
from api.wire.quarantine import show_record
from api.wire.state import show_state
from ingestion.model.quarantine import QuarantineStatus


async def list_quarantine(call: Call) -> Response:
    """GET /pipelines/{pipeline_id}/quarantine."""
    query = call.query
    page, status = query.page(), query.choice("status", QuarantineStatus)
    execution_id, error_code = query.text("execution_id"), query.text("error_code")
    query.finish()
    read = partial(call.backend.quarantine.list, call.part("pipeline_id"), page, execution_id, error_code, status)
    found = await to_thread.run_sync(read)
    return call.page([show_record(record) for record in found.records], page, found.total)


async def replay_quarantine(call: Call) -> Response:
    """POST /pipelines/{pipeline_id}/quarantine/replay."""
    execution = await call.backend.executions.replay(
        call.part("pipeline_id"), call.body, call.principal.name, call.new_id, call.backend.quarantine.open_rows
    )
    return accepted(call, execution)


async def discard_quarantine(call: Call) -> Response:
    """POST /pipelines/{pipeline_id}/quarantine/discard."""
    discard = partial(call.backend.quarantine.discard, call.part("pipeline_id"), call.body, call.principal.name)
    return call.success({"discarded": await to_thread.run_sync(discard)})


async def get_state(call: Call) -> Response:
    """GET /pipelines/{pipeline_id}/state."""
    pipeline, cursor, target = await to_thread.run_sync(call.backend.state.get, call.part("pipeline_id"))
    return call.entity(show_state(pipeline, cursor, target), tag_of(cursor))


async def set_state(call: Call) -> Response:
    """PUT /pipelines/{pipeline_id}/state."""
    change = partial(
        call.backend.state.set, call.part("pipeline_id"), call.body, call.principal.name, call.request.headers
    )
    pipeline, cursor, target = await to_thread.run_sync(change)
    return call.entity(show_state(pipeline, cursor, target), tag_of(cursor))
