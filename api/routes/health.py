"""Whether the process lives, and whether executions can start. For machines; outside authentication."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from api.backend import Backend
from api.envelope import JsonResponse
from api.errors import RETRY_AFTER_SECONDS
from ingestion.errors import IngestionError
from ingestion.orchestration.launcher import LauncherUnreachable, ask_launcher
from ingestion.processes.sockets import LAUNCHER_SOCKET, socket_path

OK = "ok"
_ANSWER_SECONDS = 5.0

Check = Callable[[Backend], Awaitable[str]]
"""OK, or why a part is not."""


async def healthz(request: Request) -> Response:
    """GET /healthz: this process answers."""
    return JsonResponse({"status": OK})


async def readyz(request: Request) -> Response:
    """GET /readyz: 200 when executions can start; else 503 with the part that is missing."""
    backend: Backend = request.app.state.backend
    parts: dict[str, str] = {}

    async def look(name: str, check: Check) -> None:
        parts[name] = await _outcome(check, backend)

    checks = _checks(backend)
    async with anyio.create_task_group() as group:
        for name, check in checks.items():
            group.start_soon(look, name, check)
    parts = {name: parts[name] for name in checks}
    if all(outcome == OK for outcome in parts.values()):
        return JsonResponse({"status": "ready", "parts": parts})
    return JsonResponse({"status": "not ready", "parts": parts}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _checks(backend: Backend) -> Mapping[str, Check]:
    checks: dict[str, Check] = {"store": _store, "code_location": _code_location}
    if backend.settings.dagster_url is None:
        # With a webserver elsewhere, the launcher is that deployment's own matter.
        checks["launcher"] = _launcher
    return checks


async def _outcome(check: Check, backend: Backend) -> str:
    try:
        with anyio.fail_after(_ANSWER_SECONDS):
            return await check(backend)
    except TimeoutError:
        return f"no answer within {_ANSWER_SECONDS:.0f} s"
    except (IngestionError, LauncherUnreachable, OSError) as error:
        return str(error)


async def _store(backend: Backend) -> str:
    await to_thread.run_sync(backend.store.ping, abandon_on_cancel=True)
    return OK


async def _code_location(backend: Backend) -> str:
    error = await backend.dagster.location_error()
    return OK if error is None else error.strip().splitlines()[0]


async def _launcher(backend: Backend) -> str:
    socket = str(socket_path(backend.settings, LAUNCHER_SOCKET))
    await to_thread.run_sync(ask_launcher, socket, {"op": "ping"}, abandon_on_cancel=True)
    return OK
