"""How an API goes on when nobody said so: told from its first answer, or refused when there is more, but not how."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingestion.errors import ParseFailed
from ingestion.model.connections.pagination import Pagination
from ingestion.sources.api.pagination import (
    BodyCursor,
    Follow,
    GraphQLCursor,
    Keyset,
    Links,
    Offset,
    PageFacts,
    PageNumber,
    Pager,
    SinglePage,
)
from ingestion.sources.api.paths import RowPath, value_at
from ingestion.sources.api.request import ApiRequest

_PLACES = (
    "",
    "paging",
    "pagination",
    "meta",
    "meta.pagination",
    "metadata",
    "links",
    "_links",
    "response_metadata",
    "page_info",
    "paging.cursors",
    "paging.next",
    "page",
)
_LINKS = (
    "next",
    "next.href",
    "next_url",
    "nextUrl",
    "next_uri",
    "nextUri",
    "next_link",
    "nextLink",
    "next_page_url",
    "nextPageUrl",
    "next_page_uri",
    "nextPageUri",
    "nextPageLink",
    "nextRecordsUrl",
)
_ODATA = "@odata.nextLink"
_CURSORS: Mapping[str, str] = {
    "next_cursor": "cursor",
    "nextCursor": "cursor",
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
    "next_token": "next_token",
    "nextToken": "nextToken",
    "continuation_token": "continuation_token",
    "continuationToken": "continuationToken",
    "after": "after",
    "next_page": "page",
    "nextPage": "page",
}
_PAGES = ("total_pages", "totalPages", "page_count", "pageCount", "pages", "last_page", "lastPage", "num_pages")
_NUMBERS: Mapping[str, str] = {
    "page": "page",
    "current_page": "page",
    "currentPage": "page",
    "number": "page",
    "page_number": "page_number",
    "pageNumber": "pageNumber",
}
_OFFSETS = ("offset", "skip")
_TOTALS = ("total", "total_count", "totalCount", "total_items", "totalItems", "total_results", "totalResults")
_SAYS_MORE = re.compile(
    r"next((page|link|url|uri|href|cursor|token|records?|results?|start|offset|marker|key).*)?|continuation(token)?"
)
_SAYS_TOTAL = re.compile(r"(total|overall)(count|size|items|results|records|rows|elements|hits)?|(records|rows)?count")
_SAYS_LAST = ("done", "last", "islast", "lastpage", "islastpage")
"""How answers say that there is more, under names that do not tell how to ask for it; without case and punctuation."""
_MORE = ("has_more", "hasMore", "has_next", "hasNext", "has_next_page", "hasNextPage", "more")


class Told:
    """A style that is told from the first answer."""

    ends_at_missing = False
    repeats_are_loops = False

    def __init__(self, pagination: Pagination, follow: Follow) -> None:
        self._pagination = pagination
        self._follow = follow
        self._pager: Pager | None = None

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request as it is, with a page size when one is set."""
        size, name = self._pagination.page_size, self._pagination.page_size_param
        return request.with_values({name: size}) if name and size else request

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """As the style tells."""
        return self._told(request, page).following(request, page)

    def all_following(self, request: ApiRequest, page: PageFacts) -> Sequence[ApiRequest]:
        """As the style tells."""
        return self._told(request, page).all_following(request, page)

    def _told(self, request: ApiRequest, page: PageFacts) -> Pager:
        if self._pager is None:
            self._pager = told_pager(request, page, self._pagination, self._follow)
            self.repeats_are_loops = self._pager.repeats_are_loops
        return self._pager


def told_pager(request: ApiRequest, page: PageFacts, pagination: Pagination, follow: Follow) -> Pager:
    """The style of the first answer. Raises ParseFailed when it says that there is more, but not how to ask for it."""
    if page.next_link is not None:
        return Links(pagination, follow, None)
    document = page.envelope
    if not isinstance(document, dict):
        return SinglePage(pagination)
    if isinstance(request.body, dict) and "query" in request.body:
        info = _page_info_path(document)
        return GraphQLCursor(pagination, info) if info else _only_page(page, pagination)
    return (
        _told_link(document, pagination, follow)
        or _told_cursor(document, pagination)
        or _told_number(document, pagination)
        or _only_page(page, pagination)
    )


def _told_link(document: Any, pagination: Pagination, follow: Follow) -> Pager | None:
    for path in (_ODATA, *_paths(_LINKS)):
        found = document.get(_ODATA) if path == _ODATA else value_at(document, path)
        if isinstance(found, str) and found.startswith(("http://", "https://", "/", "?")):
            return Links(pagination, follow, path) if path != _ODATA else ODataLinks(pagination, follow)
    return None


class ODataLinks(Links):
    """The link of OData, whose name has a dot."""

    def __init__(self, pagination: Pagination, follow: Follow) -> None:
        super().__init__(pagination, follow, None)

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """Where the link leads."""
        link = page.envelope.get(_ODATA) if isinstance(page.envelope, dict) else None
        facts = PageFacts(page.shown, page.elements, page.elements_read, page.envelope, link)
        return super().following(request, facts)


def _told_cursor(document: Any, pagination: Pagination) -> Pager | None:
    for path in _paths(tuple(_CURSORS)):
        found = value_at(document, path)
        if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
            param = _CURSORS[path.rpartition(".")[2]]
            return BodyCursor(pagination.model_copy(update={"cursor_path": path, "cursor_param": param}))
    return None


def _told_number(document: Any, pagination: Pagination) -> Pager | None:
    total = _first_number(document, _TOTALS)
    pages = _first_number(document, _PAGES)
    number = _first_number(document, tuple(_NUMBERS))
    if number is not None and (pages is not None or total is not None):
        start = int(value_at(document, number))
        told = {
            "page_param": _NUMBERS[number.rpartition(".")[2]],
            "first_page": 0 if start == 0 else 1,
            "total_pages_path": pages,
            "total_path": total if pages is None else None,
        }
        return PageNumber(pagination.model_copy(update=told))
    offset = _first_number(document, _OFFSETS)
    if offset is not None and total is not None:
        told = {"offset_param": offset.rpartition(".")[2], "total_path": total}
        return Offset(pagination.model_copy(update=told))
    return None


def _only_page(page: PageFacts, pagination: Pagination) -> Pager:
    """A single page, unless it says that it is not."""
    document = page.envelope if isinstance(page.envelope, dict) else {}
    for path in _paths(_MORE):
        if value_at(document, path) is True:
            raise _unclear(page, f"{path} is true")
    total = _first_number(document, _TOTALS)
    if total is not None and int(value_at(document, total)) > page.elements > 0:
        raise _unclear(page, f"{total} is {value_at(document, total)}, but {page.elements} rows came")
    for path, name, found in _members(document):
        if _SAYS_MORE.fullmatch(name) and found not in ("", 0, False):
            raise _unclear(page, f"'{path}' is {found!r:.60}")
        if name in _SAYS_LAST and found is False:
            raise _unclear(page, f"{path} is false")
        is_number = isinstance(found, int) and not isinstance(found, bool)
        if _SAYS_TOTAL.fullmatch(name) and is_number and found > page.elements > 0:
            raise _unclear(page, f"{path} is {found}, but {page.elements} rows came")
    return SinglePage(pagination)


def _members(value: Any, prefix: str = "", name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Single values beside the rows: where they are, their bare names (`next` for all in it), and what is there."""
    for key, found in value.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        bare = name if name == "next" else re.sub(r"[^a-z]", "", str(key).lower())
        if isinstance(found, dict):
            yield from _members(found, path, bare)
        elif isinstance(found, str | int):
            yield path, bare, found


def _unclear(page: PageFacts, why: str) -> ParseFailed:
    return ParseFailed(f"{page.shown} has more pages ({why}), but how to ask for them is unclear; set pagination")


def _page_info_path(document: Any, prefix: str = "") -> str | None:
    for key, value in document.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if key == "pageInfo" and isinstance(value, dict):
            return path
        found = _page_info_path(value, path) if isinstance(value, dict) else None
        if found:
            return found
    return None


def _paths(names: Sequence[str]) -> Iterator[str]:
    for place in _PLACES:
        for name in names:
            yield f"{place}.{name}" if place else name


def _first_number(document: Any, names: Sequence[str]) -> str | None:
    for path in _paths(names):
        found = value_at(document, path)
        if isinstance(found, int) and not isinstance(found, bool):
            return path
    return None


def pager_for(pagination: Pagination | None, follow: Follow, path: RowPath | None) -> Pager:
    """The style that is set, else one that is told from the first answer."""
    chosen = pagination or Pagination()
    if chosen.type == "page":
        return PageNumber(chosen)
    if chosen.type == "offset":
        return Offset(chosen)
    if chosen.type == "cursor":
        return BodyCursor(chosen)
    if chosen.type == "link_header":
        return Links(chosen, follow, None)
    if chosen.type == "next_url":
        return Links(chosen, follow, chosen.next_url_path)
    if chosen.type == "keyset":
        return Keyset(chosen)
    if chosen.type == "graphql":
        outer = path.outer[:-1] if path is not None else ()
        return GraphQLCursor(chosen, ".".join([*outer, "pageInfo"]))
    return SinglePage(chosen) if chosen.type == "none" else Told(chosen, follow)
