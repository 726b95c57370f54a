"""From one page to the next: what each style asks for, and when it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ingestion.errors import ParseFailed, QueryFailed, SourceChanged
from ingestion.model.connections.pagination import Pagination
from ingestion.sources.api.addresses import Address
from ingestion.sources.api.paths import value_at
from ingestion.sources.api.request import ApiRequest

Follow = Callable[[Address, str], Address]
"""Where a link leads; raises when it leaves the source."""


@dataclass(frozen=True)
class PageFacts:
    """What a page tells: `elements` on it, `elements_read` up to its end, and its document without the rows."""

    shown: str
    elements: int
    elements_read: int
    envelope: Any
    next_link: str | None
    last_value: Callable[[str], Any] = field(default=lambda key: None)


class Pager(Protocol):
    """One style of pages. Pure: it knows requests and facts, nothing of how they are sent."""

    ends_at_missing: bool
    """Whether 404 for a page after the first means that there are no more."""
    repeats_are_loops: bool
    """Whether two equal pages in a row mean that the server ignores what it is asked for."""

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request for the first page."""
        ...

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """The request after `request`, which was answered with `page`; None when that was the last."""
        ...

    def all_following(self, request: ApiRequest, page: PageFacts) -> Sequence[ApiRequest]:
        """All further requests, when the first page tells how many there are; else none."""
        ...


class _Style:
    ends_at_missing = False
    repeats_are_loops = False

    def __init__(self, pagination: Pagination, default_size_param: str | None = None) -> None:
        self._pagination = pagination
        self._place = pagination.param_in or "query"
        size = pagination.page_size
        name = pagination.page_size_param or default_size_param
        self._size = {name: size} if name and size else {}

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request for the first page."""
        return request.with_values(self._size, self._place) if self._size else request

    def all_following(self, request: ApiRequest, page: PageFacts) -> Sequence[ApiRequest]:
        """None: each page has to be seen before the next can be asked for."""
        return ()

    def _says_no_more(self, page: PageFacts) -> bool:
        path = self._pagination.has_more_path
        return path is not None and _flag(value_at(page.envelope, path), path, page) is False


class SinglePage(_Style):
    """Everything in one answer."""

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """There is none."""
        return None


class _Numbered(_Style):
    """Pages that are asked for by a number, up to a total, or until one is empty."""

    ends_at_missing = True
    repeats_are_loops = True

    def __init__(self, pagination: Pagination, param: str, start: int, size_param: str | None) -> None:
        super().__init__(pagination, size_param)
        self._param = param
        self._start = start
        self.ends_at_missing = pagination.total_path is None and pagination.total_pages_path is None

    def first(self, request: ApiRequest) -> ApiRequest:
        """The request for the first page."""
        return super().first(request).with_values({self._param: self._start}, self._place)

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """The next number, unless this was the last."""
        if self._is_last(request, page):
            return None
        return request.with_values({self._param: self._next(request, page)}, self._place)

    def all_following(self, request: ApiRequest, page: PageFacts) -> Sequence[ApiRequest]:
        """All further numbers, when a total is told."""
        count = self._pages_left(page)
        step = self._next(request, page) - self._number(request)
        numbers = [self._number(request) + step * (index + 1) for index in range(count)]
        return [request.with_values({self._param: number}, self._place) for number in numbers]

    def _next(self, request: ApiRequest, page: PageFacts) -> int:
        raise NotImplementedError

    def _pages_seen(self, request: ApiRequest) -> int | None:
        return None

    def _number(self, request: ApiRequest) -> int:
        """The number that was asked for; a first page may have been asked for without one."""
        sent = dict(request.address.query).get(self._param)
        number = sent if self._place == "query" else value_at(request.body, self._param)
        return self._start if number is None else int(number)

    def _total(self, page: PageFacts) -> int | None:
        path = self._pagination.total_path
        return None if path is None else _number(value_at(page.envelope, path), path, page)

    def _total_pages(self, page: PageFacts) -> int | None:
        path = self._pagination.total_pages_path
        return None if path is None else _number(value_at(page.envelope, path), path, page)

    def _pages_left(self, page: PageFacts) -> int:
        """After the first page."""
        pages, total = self._total_pages(page), self._total(page)
        if pages is None and total is not None and page.elements:
            pages = -(-total // page.elements)
        return max((pages or 1) - 1, 0) if page.elements else 0

    def _is_last(self, request: ApiRequest, page: PageFacts) -> bool:
        total, pages = self._total(page), self._total_pages(page)
        if self._says_no_more(page):
            return True
        seen = self._pages_seen(request)
        is_told = (pages is not None and seen is not None and seen >= pages) or (
            total is not None and page.elements_read >= total
        )
        if (is_told or not page.elements) and total is not None and page.elements_read < total:
            raise SourceChanged(
                f"{page.shown} is the last page, but {page.elements_read} of {total} rows came. Did rows go while "
                f"they were read? If the total counts something else, leave total_path out",
                read=page.elements_read,
                total=total,
            )
        size = self._pagination.page_size
        is_short = bool(self._pagination.short_page_ends) and size is not None and page.elements < size
        return is_told or is_short or not page.elements


class PageNumber(_Numbered):
    """`page=1`, `page=2` and so on."""

    def __init__(self, pagination: Pagination) -> None:
        first = 1 if pagination.first_page is None else pagination.first_page
        super().__init__(pagination, pagination.page_param or "page", first, "page_size")

    def _next(self, request: ApiRequest, page: PageFacts) -> int:
        return self._number(request) + 1

    def _pages_seen(self, request: ApiRequest) -> int | None:
        return self._number(request) - self._start + 1


class Offset(_Numbered):
    """`offset=0`, then as many more as came: a server may send fewer than it is asked for."""

    def __init__(self, pagination: Pagination) -> None:
        super().__init__(pagination, pagination.offset_param or "offset", 0, "limit")

    def _next(self, request: ApiRequest, page: PageFacts) -> int:
        return self._number(request) + page.elements


class BodyCursor(_Style):
    """A cursor in the document, sent back in the query or in the body."""

    def __init__(self, pagination: Pagination) -> None:
        super().__init__(pagination, "limit")

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """With the page's cursor; the end is a page without one."""
        cursor = value_at(page.envelope, self._pagination.cursor_path or "")
        if cursor in (None, "", False) or self._says_no_more(page):
            return None
        if isinstance(cursor, dict | list):
            raise ParseFailed(f"{page.shown}: cursor_path '{self._pagination.cursor_path}' leads to no single value")
        return request.with_values({self._pagination.cursor_param or "": cursor}, self._place)


class Links(_Style):
    """A link to the next page: in the Link header, or in the document at `path`."""

    def __init__(self, pagination: Pagination, follow: Follow, path: str | None) -> None:
        super().__init__(pagination)
        self._follow = follow
        self._path = path

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """Where the link leads. Raises QueryFailed when it leaves the source."""
        link = page.next_link if self._path is None else value_at(page.envelope, self._path)
        if link in (None, "", False):
            return None
        if not isinstance(link, str):
            raise ParseFailed(f"{page.shown}: next_url_path '{self._path}' leads to no text")
        return ApiRequest(request.method, self._follow(request.address, link), request.headers, request.body)


class Keyset(_Style):
    """After the key of the last row."""

    def __init__(self, pagination: Pagination) -> None:
        super().__init__(pagination, "limit")

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """With the last row's key, until a page is empty."""
        size = self._pagination.page_size
        is_short = bool(self._pagination.short_page_ends) and size is not None and page.elements < size
        if not page.elements or is_short or self._says_no_more(page):
            return None
        key = page.last_value(self._pagination.key_field or "")
        if key is None or isinstance(key, dict | list):
            raise ParseFailed(f"{page.shown}: the last row has no '{self._pagination.key_field}' to go on from")
        return request.with_values({self._pagination.key_param or "": key}, self._place)


class GraphQLCursor(_Style):
    """`pageInfo { hasNextPage endCursor }`, sent back as a variable."""

    def __init__(self, pagination: Pagination, page_info_path: str) -> None:
        super().__init__(pagination)
        self._path = pagination.page_info_path or page_info_path
        self._variable = pagination.cursor_variable or "after"

    def following(self, request: ApiRequest, page: PageFacts) -> ApiRequest | None:
        """With the page's endCursor while it says that there is a next page."""
        info = value_at(page.envelope, self._path)
        if not isinstance(info, dict) or "hasNextPage" not in info:
            raise ParseFailed(f"{page.shown}: there is no pageInfo with hasNextPage at '{self._path}'; ask for it")
        if not info["hasNextPage"]:
            return None
        if info.get("endCursor") in (None, ""):
            raise ParseFailed(f"{page.shown}: {self._path} says there is a next page, but has no endCursor; ask for it")
        if f"${self._variable}" not in str((request.body or {}).get("query", "")):
            raise QueryFailed(
                f"{page.shown}: there is a next page, but the query has no variable ${self._variable} to ask for it; "
                f"declare it, or name the right one in pagination.cursor_variable"
            )
        return request.with_values({self._variable: info["endCursor"]}, "variables")


def _number(value: Any, path: str, page: PageFacts) -> int | None:
    if value is None:
        return None
    try:
        return int(float(value)) if not isinstance(value, bool) else _no_number(value, path, page)
    except (TypeError, ValueError):
        return _no_number(value, path, page)


def _no_number(value: Any, path: str, page: PageFacts) -> int:
    raise ParseFailed(f"{page.shown}: '{path}' is no number of rows or pages but {value!r:.60}")


def _flag(value: Any, path: str, page: PageFacts) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, int):
        return value != 0
    raise ParseFailed(f"{page.shown}: '{path}' is neither true nor false but {value!r:.60}")
