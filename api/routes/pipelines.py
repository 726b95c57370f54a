"""Handlers of pipelines."""

from __future__ import annotations

from functools import partial

from anyio import to_thread
from starlette.responses import Response

from api.endpoint import Call
from api.etags import EntityTag, required_versions
from api.wire.pipelines import show_pipeline
from ingestion.model.pipeline import Pipeline


async def list_pipelines(call: Call) -> Response:
    """GET /pipelines."""
    query = call.query
    page = query.page()
    source_id, is_active = query.text("source_id"), query.boolean("is_active")
    query.finish()
    rows = await to_thread.run_sync(call.backend.store.pipelines.list, page, source_id, is_active)
    return call.page([show_pipeline(pipeline) for pipeline in rows.items], page, rows.total)


async def get_pipeline(call: Call) -> Response:
    """GET /pipelines/{pipeline_id}."""
    pipeline = await to_thread.run_sync(call.backend.store.pipelines.get, call.part("pipeline_id"))
    return call.entity(show_pipeline(pipeline), _tag(pipeline))


async def create_pipeline(call: Call) -> Response:
    """POST /pipelines."""
    only_checked = call.validates_only
    create = partial(call.backend.pipelines.create, call.body, call.principal.name, only_checked, call.new_id)
    pipeline = await to_thread.run_sync(create)
    if only_checked:
        return call.success(show_pipeline(pipeline), status=200)
    call.backend.reloads.ask()
    return call.entity(show_pipeline(pipeline), _tag(pipeline), location=f"/pipelines/{pipeline.pipeline_id}")


async def update_pipeline(call: Call) -> Response:
    """PUT /pipelines/{pipeline_id}."""
    only_checked, versions = call.validates_only, required_versions(call.request.headers)
    update = partial(
        call.backend.pipelines.update, call.part("pipeline_id"), call.body, call.principal.name, versions, only_checked
    )
    pipeline = await to_thread.run_sync(update)
    if only_checked:
        return call.success(show_pipeline(pipeline))
    call.backend.reloads.ask()
    return call.entity(show_pipeline(pipeline), _tag(pipeline))


async def delete_pipeline(call: Call) -> Response:
    """DELETE /pipelines/{pipeline_id}."""
    versions = required_versions(call.request.headers)
    await to_thread.run_sync(call.backend.pipelines.delete, call.part("pipeline_id"), versions)
    call.backend.reloads.ask()
    return call.success()


def _tag(pipeline: Pipeline) -> EntityTag:
    return EntityTag(pipeline.revision)
