"""The OpenAPI 3.1 document, made from the table of endpoints and their models."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api.endpoint import BASE_PATH, Endpoint, Parameter
from api.errors import PROBLEM_MEDIA_TYPE, STATUSES
from api.examples import error_example, examples
from api.idempotency import HEADER, LONGEST_KEY, REPLAYED
from api.table import ENDPOINTS
from api.wire.envelopes import Failure, ProblemDetails
from ingestion import __version__
from ingestion.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from ingestion.model.connections import CONNECTION_MODELS
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import EXTRACTION_MODELS
from ingestion.model.pipeline import PipelineConfiguration

TITLE = "Data Ingestion API"
_DESCRIPTION = """\
Manages data sources, pipelines and their executions.

`connection_details` is one of the `*Connection` schemas, by `source_type`; `configuration` is
`PipelineConfiguration`, its `extraction_params` one of the `*Extraction` schemas; `execution_params` are free-form
beyond `ExecutionParams`. Unknown fields are refused.
"""
_EVERYWHERE = ("AUTH_ERROR", "PERMISSION_DENIED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE")
_WITH_BODY = ("VALIDATION_ERROR", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
_IDEMPOTENCY_KEY = Parameter(
    HEADER,
    "A text of the client's choice, bare or in quotes; for 24 hours a repeat with it is answered without being "
    "carried out again",
    # Two characters more for the quotes.
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY + 2},
    "header",
)
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_REFERENCE = "#/components/schemas/{model}"
_OF_POSTS = (IdempotencyKeyReused.code, IdempotencyKeyInUse.code)
_HEADERS_OF_FAILURES = {401: ["WWW-Authenticate"], 403: ["WWW-Authenticate"], 503: ["Retry-After"]}
_HEADERS = {
    "Location": "Address of the resource",
    "Retry-After": "Seconds to wait",
    "ETag": "Version of the resource",
    "Link": "Other pages, as in RFC 8288",
    REPLAYED: "`true` on an answer that an earlier request with the same Idempotency-Key had",
    "WWW-Authenticate": "What kind of token is needed",
    "X-Request-ID": "Id of this request in the service's logs",
}


@functools.cache
def openapi_document(server_url: str | None = None) -> dict[str, Any]:
    """The document. `server_url` is scheme and host of the service; relative to the document's own if unset."""
    schemas = _schemas()
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": (server_url or "").rstrip("/") + BASE_PATH}],
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in dict.fromkeys(endpoint.tag for endpoint in ENDPOINTS)],
        "paths": _paths(ENDPOINTS),
        "components": {
            "schemas": schemas,
            "headers": {name: _header(text) for name, text in _HEADERS.items()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of the set issuer, or one that `ingestion token` prints.",
                }
            },
        },
    }


def _paths(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        path = _PATH_PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return paths


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": f"Needs the permission `{endpoint.permission}`.",
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.request is not None:
        content: dict[str, Any] = {"schema": _ref(endpoint.request)}
        example = examples()[endpoint.summary].get("request")
        if example is not None:
            content["example"] = example
        operation["requestBody"] = {
            "required": not endpoint.body_may_be_empty,
            "content": {"application/json": content},
        }
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(endpoint.path)
    ]
    others: list[dict[str, Any]] = [
        {
            "name": parameter.name,
            "in": parameter.location,
            "required": False,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        for parameter in (*endpoint.parameters, *((_IDEMPOTENCY_KEY,) if endpoint.method == "POST" else ()))
    ]
    return in_path + others


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses = {str(status): _success(endpoint, status) for status in (endpoint.status, *endpoint.other_statuses)}
    by_status: dict[int, list[str]] = {}
    for code in _errors_of(endpoint):
        by_status.setdefault(STATUSES[code], []).append(code)
    responses |= {str(status): _failure(status, by_status[status]) for status in sorted(by_status)}
    return responses


def _errors_of(endpoint: Endpoint) -> Sequence[str]:
    codes = [*_EVERYWHERE, *endpoint.errors]
    if endpoint.request is not None:
        codes += _WITH_BODY
    if endpoint.method == "POST":
        codes += _OF_POSTS
    if "{" in endpoint.path:
        codes.append("RESOURCE_NOT_FOUND")
    return list(dict.fromkeys(codes))


def _success(endpoint: Endpoint, status: int) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": _header_refs(endpoint, status)}
    if status != 304:
        example = examples()[endpoint.summary]["response"]
        content = {"schema": _ref(endpoint.response)}
        # What is answered instead of the usual has another state than the example.
        if status == endpoint.status:
            content["example"] = example
        described["content"] = {"application/json": content}
    return described


def _header_refs(endpoint: Endpoint, status: int) -> dict[str, Any]:
    names = ["X-Request-ID"]
    if status in (201, 202):
        names.append("Location")
    if status == 202:
        names.append("Retry-After")
    if any(parameter.name.startswith("If-") for parameter in endpoint.parameters) or status == 201:
        names.append("ETag")
    if any(parameter.name == "page" for parameter in endpoint.parameters):
        names.append("Link")
    if endpoint.method == "POST":
        names.append(REPLAYED)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _failure(status: int, codes: Sequence[str]) -> dict[str, Any]:
    example = (
        error_example()
        if codes == ["RESOURCE_NOT_FOUND"]
        else {
            "status": "error",
            "error": codes[0],
            "message": HTTPStatus(status).phrase,
        }
    )
    names = ["X-Request-ID", *_HEADERS_OF_FAILURES.get(status, ())]
    if IdempotencyKeyInUse.code in codes:
        names.append("Retry-After")
    return {
        "description": ", ".join(codes),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            "application/json": {"schema": _ref(Failure), "example": example},
            PROBLEM_MEDIA_TYPE: {"schema": _ref(ProblemDetails)},
        },
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=_name_of(model))}


def _name_of(model: type[BaseModel]) -> str:
    """As pydantic names it: no brackets of generic models."""
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", model.__name__)


def _schemas() -> dict[str, Any]:
    sent: list[type[BaseModel]] = [endpoint.request for endpoint in ENDPOINTS if endpoint.request is not None]
    sent += [*CONNECTION_MODELS.values(), *EXTRACTION_MODELS.values(), PipelineConfiguration, ExecutionParams]
    shown: list[type[BaseModel]] = [*(endpoint.response for endpoint in ENDPOINTS), Failure, ProblemDetails]
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in dict.fromkeys(sent)),
        *((model, "serialization") for model in dict.fromkeys(shown)),
    ]
    _, document = models_json_schema(wanted, ref_template=_REFERENCE)
    schemas: dict[str, Any] = document["$defs"]
    return schemas
