"""What an endpoint is: one description, from which its route and its documentation are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.auth.bearer import authenticate
from api.auth.principal import Principal
from api.backend import Backend
from api.body import read_object
from api.envelope import JsonResponse, page_body, success_body, total_pages
from api.etags import EntityTag
from api.idempotency import carried_out_once, key_of, scoped
from api.new_id import NewId
from api.query import QueryReader
from ingestion.store import Page

BASE_PATH = "/api/v1/ingestion"
VALIDATE_ONLY = "validate_only"


@dataclass(frozen=True)
class Parameter:
    """A query parameter or request header, for the documentation."""

    name: str
    description: str
    schema: Mapping[str, Any]
    location: str = "query"


@dataclass(frozen=True)
class Endpoint:
    """`summary` and `message` are the contract's, and its examples are found by the summary.

    `status` is what success answers, `other_statuses` what it may answer instead, and `errors` are codes beside those
    that every endpoint has.
    """

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Response]]
    permission: str
    summary: str
    message: str
    response: type[BaseModel]
    tag: str
    status: int = 200
    other_statuses: Sequence[int] = ()
    request: type[BaseModel] | None = None
    body_may_be_empty: bool = False
    parameters: Sequence[Parameter] = ()
    errors: Sequence[str] = ()

    async def answer(self, request: Request) -> Response:
        """Serve a request: who, may they, what do they send, and only then the work."""
        backend: Backend = request.app.state.backend
        principal = await authenticate(request.headers, backend.verifier)
        principal.require(self.permission)
        key = key_of(request.headers) if self.method == "POST" else None
        body = await read_object(request, self.body_may_be_empty) if self.request is not None else {}
        call = Call(self, request, principal, backend, body)
        if key is None or (self.may_only_validate and call.validates_only):
            return await self.handler(call)
        key_id = scoped(principal.name, self.method, request.scope["path"], key)
        carry_out = partial(self._answer_as, call)
        return await carried_out_once(backend.store.idempotency, key_id, body, carry_out)

    @property
    def may_only_validate(self) -> bool:
        """Whether the client can ask that nothing is stored."""
        return any(parameter.name == VALIDATE_ONLY for parameter in self.parameters)

    async def _answer_as(self, call: Call, new_id: NewId) -> Response:
        return await self.handler(replace(call, new_id=new_id))


@dataclass(frozen=True)
class Call:
    """One request to an endpoint, by somebody who may make it. `new_id` is for what it makes."""

    endpoint: Endpoint
    request: Request
    principal: Principal
    backend: Backend
    body: Mapping[str, Any] = field(default_factory=dict)
    new_id: NewId = field(default_factory=NewId.fresh)

    @property
    def query(self) -> QueryReader:
        """A new reader of the query parameters."""
        return QueryReader(self.request.query_params)

    @property
    def validates_only(self) -> bool:
        """Whether everything is to be checked but nothing stored."""
        query = self.query
        wanted = query.boolean(VALIDATE_ONLY)
        query.finish()
        return bool(wanted)

    @property
    def base_url(self) -> str:
        """Scheme and host as the client sees them."""
        return (self.backend.settings.public_url or str(self.request.base_url)).rstrip("/")

    def part(self, name: str) -> str:
        """A part of the path, decoded."""
        return str(self.request.path_params[name])

    def success(
        self, data: Mapping[str, Any] | None = None, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The endpoint's success, with data."""
        return JsonResponse(success_body(self.endpoint.message, data), status or self.endpoint.status, headers)

    def entity(self, data: Mapping[str, Any], tag: EntityTag, location: str | None = None) -> Response:
        """One resource with its tag; at `location` (below the base path) if it is new."""
        headers = {"ETag": str(tag)}
        if location is not None:
            headers["Location"] = self.link_to(location)
        if self.request.method in ("GET", "HEAD") and tag.is_known_to(self.request.headers):
            return Response(status_code=304, headers=headers)
        return self.success(data, headers=headers)

    def page(self, items: Sequence[Mapping[str, Any]], page: Page, total: int) -> Response:
        """One page of a list, with links to the others (RFC 8288)."""
        links = _links(page, total_pages(total, page.size))
        rendered = ", ".join(
            f'<{self.base_url}{self.request.url.path}?{self._query_of(number, page.size)}>; rel="{relation}"'
            for relation, number in links.items()
        )
        return JsonResponse(page_body(self.endpoint.message, items, page, total), headers={"Link": rendered})

    def link_to(self, path: str) -> str:
        """The address of `path` below the base path."""
        return f"{self.base_url}{BASE_PATH}{path}"

    def _query_of(self, number: int, size: int) -> str:
        parameters = {"page": str(number), "page_size": str(size)}
        return str(self.request.url.include_query_params(**parameters).query)


def _links(page: Page, pages: int) -> dict[str, int]:
    last = max(pages, 1)
    links = {"first": 1, "last": last}
    if page.number > 1:
        links["prev"] = min(page.number - 1, last)
    if page.number < last:
        links["next"] = page.number + 1
    return links
