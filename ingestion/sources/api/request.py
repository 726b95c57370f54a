"""What is asked of an API: one request, and how it is made from a pipeline's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ingestion.model.connections import ApiConnection
from ingestion.model.extraction.api import ApiExtraction
from ingestion.model.macros import Interval, render
from ingestion.model.references import is_reference
from ingestion.sources.api.addresses import Address, address_of, below


@dataclass(frozen=True)
class ApiRequest:
    """One request without credentials. `body` is sent as JSON unless it is None."""

    method: str
    address: Address
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def with_values(self, values: Mapping[str, str | int], place: str = "query") -> ApiRequest:
        """With these values in the query, in the body, or in the variables of a GraphQL body."""
        if place == "query":
            pairs = [(name, str(value)) for name, value in values.items()]
            return replace(self, address=self.address.with_query(pairs))
        body = dict(self.body or {})
        if place == "variables":
            return replace(self, body=body | {"variables": dict(body.get("variables") or {}) | dict(values)})
        for name, value in values.items():
            _put(body, name.split("."), value)
        return replace(self, body=body)


def _put(body: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a value in a nested body without touching the objects that another request shares."""
    if len(path) == 1:
        body[path[0]] = value
        return
    inner = body.get(path[0])
    body[path[0]] = dict(inner) if isinstance(inner, dict) else {}
    _put(body[path[0]], path[1:], value)


def first_request(
    connection: ApiConnection, params: ApiExtraction, interval: Interval, resolve: Callable[[str], str]
) -> ApiRequest:
    """The request of a pipeline, before pages and cursor. Macros and secret references are replaced."""
    path = render(params.path, interval) if params.path is not None else None
    address = below(address_of(connection.endpoint_url, resolve), path)
    body = rendered(params.body, interval)
    if params.query is not None:
        body = {"query": params.query, "variables": rendered(params.variables or {}, interval)}
    return ApiRequest(
        method=params.http_method,
        address=address.with_query(_pairs(params, interval)),
        headers=resolved_headers({**(connection.headers or {}), **(params.headers or {})}, resolve),
        body=body,
    )


def resolved_headers(headers: Mapping[str, str], resolve: Callable[[str], str]) -> Mapping[str, str]:
    """The headers with references replaced by what they stand for."""
    return {name: resolve(value) if is_reference(value) else value for name, value in headers.items()}


def _pairs(params: ApiExtraction, interval: Interval) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in (params.params or {}).items():
        values = value if isinstance(value, tuple) else (value,)
        pairs += [(name, _text(rendered(item, interval))) for item in values]
    return pairs


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def rendered(value: Any, interval: Interval) -> Any:
    """A JSON-like value with the macros in its texts replaced."""
    if isinstance(value, str):
        return render(value, interval)
    if isinstance(value, dict):
        return {key: rendered(item, interval) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(item, interval) for item in value]
    return value
