"""Handlers of sources."""

from __future__ import annotations

import time
from functools import partial

from anyio import to_thread
from starlette.responses import Response

from api.auth.permissions import SOURCE_TEST
from api.endpoint import Call
from api.envelope import JsonResponse, success_body
from api.etags import EntityTag, required_versions
from api.services.sources import timed_out
from api.wire.sources import SOURCE_TYPES, show_schema, show_source, show_source_in_list
from ingestion.errors import InvalidRequest, SourceUnreachable
from ingestion.model.problems import Problem
from ingestion.model.source import Source, SourceStatus, SourceType

SCHEMA_SECONDS = 60.0
_GRACE_SECONDS = 2.0
"""How much longer than its own deadline a connection test may take before it is given up."""


async def list_sources(call: Call) -> Response:
    """GET /sources."""
    query = call.query
    page = query.page()
    source_type, status = query.choice("source_type", SourceType), query.choice("status", SourceStatus)
    query.finish()
    rows = await to_thread.run_sync(call.backend.store.sources.list, page, source_type, status)
    return call.page([show_source_in_list(source) for source in rows.items], page, rows.total)


async def get_source(call: Call) -> Response:
    """GET /sources/{source_id}."""
    source = await to_thread.run_sync(call.backend.store.sources.get, call.part("source_id"))
    return call.entity(show_source(source), _tag(source))


async def create_source(call: Call) -> Response:
    """POST /sources."""
    only_checked = call.validates_only
    create = partial(call.backend.sources.create, call.body, call.principal.name, only_checked, call.new_id)
    source = await to_thread.run_sync(create)
    if only_checked:
        return call.success(show_source(source), status=200)
    call.backend.reloads.ask()
    return call.entity(show_source(source), _tag(source), location=f"/sources/{source.source_id}")


async def update_source(call: Call) -> Response:
    """PUT /sources/{source_id}."""
    only_checked, versions = call.validates_only, required_versions(call.request.headers)
    update = partial(
        call.backend.sources.update, call.part("source_id"), call.body, call.principal.name, versions, only_checked
    )
    source = await to_thread.run_sync(update)
    if only_checked:
        return call.success(show_source(source))
    call.backend.reloads.ask()
    return call.entity(show_source(source), _tag(source))


async def delete_source(call: Call) -> Response:
    """DELETE /sources/{source_id}."""
    versions = required_versions(call.request.headers)
    await to_thread.run_sync(call.backend.sources.delete, call.part("source_id"), versions)
    call.backend.reloads.ask()
    return call.success()


async def list_source_types(call: Call) -> Response:
    """GET /sources/types."""
    return call.success({"source_types": SOURCE_TYPES})


async def check_connection(call: Call) -> Response:
    """POST /sources/test-connection."""
    test = call.backend.sources.checked_test(call.body)
    started = time.perf_counter()
    try:
        work = partial(call.backend.sources.test, test)
        report = await call.backend.source_calls.run(work, test.timeout_seconds + _GRACE_SECONDS)
    except TimeoutError:
        report = timed_out(started)
    body = success_body(call.endpoint.message) | {
        "connection_successful": report.successful,
        "connection_details": dict(report.measurements),
        "test_results": dict(report.results),
    }
    return JsonResponse(body)


async def get_schema(call: Call) -> Response:
    """GET /sources/{source_id}/schema/{object_name}."""
    source_id, object_name = call.part("source_id"), call.part("object_name")
    if ".." in object_name.split("/") or "\0" in object_name or not object_name.strip():
        raise InvalidRequest([Problem("object_name", f"{object_name!r} is not the name of an object")])
    work = partial(call.backend.sources.describe, source_id, object_name)
    try:
        found = await call.backend.source_calls.run(work, SCHEMA_SECONDS)
    except TimeoutError as error:
        await to_thread.run_sync(_note_silence, call, source_id)
        raise SourceUnreachable(f"the source did not answer within {SCHEMA_SECONDS:.0f} s") from error
    return call.success(show_schema(found, may_see_values=SOURCE_TEST in call.principal.permissions))


def _note_silence(call: Call, source_id: str) -> None:
    call.backend.sources.note(call.backend.store.sources.get(source_id), SourceStatus.ERROR)


def _tag(source: Source) -> EntityTag:
    # The status is shown but is no new version; UNKNOWN, as after every change, needs no mark.
    is_unknown = source.status is SourceStatus.UNKNOWN
    return EntityTag(source.version, "" if is_unknown else source.status.value.lower())
