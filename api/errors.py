"""From an error to its HTTP answer: one table, one shape."""

from __future__ import annotations

import http
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.envelope import JsonResponse, error_body
from ingestion.errors import (
    IdempotencyKeyInUse,
    IngestionError,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    RequestError,
)

STATUSES: Mapping[str, int] = {
    "VALIDATION_ERROR": 400,
    "INVALID_CONFIGURATION": 400,
    "AUTH_ERROR": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "RESOURCE_ALREADY_EXISTS": 409,
    "RESOURCE_IN_USE": 409,
    "PIPELINE_ALREADY_RUNNING": 409,
    "INVALID_STATE": 409,
    "IDEMPOTENCY_KEY_IN_USE": 409,
    "PRECONDITION_FAILED": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "EXECUTION_ERROR": 500,
    "INTERNAL_ERROR": 500,
    "CONNECTION_ERROR": 502,
    "SERVICE_UNAVAILABLE": 503,
}
"""The HTTP status of every error code (wire decisions 8 and 9)."""

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_KEY_IN_USE_SECONDS = 1
_INTERNAL_MESSAGE = "an unexpected error occurred; the request id names it in the service's log"
_CODES_OF_FRAMEWORK = {
    404: "RESOURCE_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}

logger = logging.getLogger("ingestion.api")


def error_response(
    request: Request,
    code: str,
    message: str,
    *,
    fields: Iterable[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The contract's three fields, or RFC 9457 for those who ask for it; `fields` is shown only there."""
    status = STATUSES[code]
    sent = {"Vary": "Accept", **(headers or {})}
    if status == 503:
        sent.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if PROBLEM_MEDIA_TYPE not in request.headers.get("accept", ""):
        return JsonResponse(error_body(code, message), status, headers=sent)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
    }
    found = [{"field": field, "message": text} for field, text in fields]
    if found:
        body["errors"] = found
    return JsonResponse(body, status, headers=sent, media_type=PROBLEM_MEDIA_TYPE)


async def answer_request_error(request: Request, error: Exception) -> Response:
    """A request that cannot be served, for the reason the error gives."""
    assert isinstance(error, RequestError)
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    fields = [(problem.field, problem.message) for problem in problems]
    return error_response(request, error.code, error.message, fields=fields, headers=_headers_of(error))


async def answer_framework_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors: an address or a method that does not exist."""
    assert isinstance(error, HTTPException)
    code = _CODES_OF_FRAMEWORK.get(error.status_code)
    if code is None:
        return answer_unexpected_error(request, error)
    messages = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not possible at {request.url.path}",
    }
    return error_response(request, code, messages.get(error.status_code, error.detail), headers=error.headers)


async def answer_stray_failure(request: Request, error: Exception) -> Response:
    """An error of ours that is not about the request: nobody turned it into an answer."""
    assert isinstance(error, IngestionError)
    return answer_unexpected_error(request, error)


def answer_unexpected_error(request: Request, error: Exception) -> Response:
    """Anything else: logged in full, answered without internals."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(request, "INTERNAL_ERROR", _INTERNAL_MESSAGE)


def _headers_of(error: RequestError) -> dict[str, str]:
    if isinstance(error, NotAuthenticated):
        # RFC 6750: an error code only when a token was given.
        given = error.facts.get("token_given", True)
        return {"WWW-Authenticate": 'Bearer realm="ingestion"' + (', error="invalid_token"' if given else "")}
    if isinstance(error, NotAllowed):
        permission = error.facts["permission"]
        challenge = f'Bearer realm="ingestion", error="insufficient_scope", scope="{permission}"'
        return {"WWW-Authenticate": challenge}
    if isinstance(error, IdempotencyKeyInUse):
        return {"Retry-After": str(_KEY_IN_USE_SECONDS)}
    return {}


EXCEPTION_HANDLERS: Mapping[Any, Any] = {
    RequestError: answer_request_error,
    IngestionError: answer_stray_failure,
    HTTPException: answer_framework_error,
}
