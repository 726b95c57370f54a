"""All pages of a request, in their order: the next ones are on their way while one is taken apart."""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from ingestion.errors import ObjectMissing, PaginationLoop, PartialFile
from ingestion.model.connections.pagination import Pagination
from ingestion.model.extraction.api import ApiExtraction
from ingestion.sources.api.answers import Answer
from ingestion.sources.api.client import ApiClient
from ingestion.sources.api.detection import pager_for
from ingestion.sources.api.documents import Block, Document
from ingestion.sources.api.pagination import PageFacts
from ingestion.sources.api.paths import RowPath, row_path
from ingestion.sources.api.request import ApiRequest

CONCURRENCY = 4
"""Pages that are asked for at once when their number is known."""
_ATTEMPTS_AT_A_PAGE = 3

_Asked = tuple[ApiRequest, "concurrent.futures.Future[Answer]"]


class Pages:
    """One reading of all pages. `count` pages were read; `server_time` is when the first answer was written."""

    def __init__(
        self,
        client: ApiClient,
        params: ApiExtraction,
        pagination: Pagination | None,
        tick: Callable[[], None],
        most_pages: int | None = None,
    ) -> None:
        self._client = client
        self._params = params
        self._tick = tick
        self._path: RowPath | None = row_path(params.data_path) if params.data_path is not None else None
        self._pager = pager_for(pagination, client.same_origin, self._path)
        self._concurrency = (pagination and pagination.concurrency) or CONCURRENCY
        self._most = most_pages or (pagination and pagination.max_pages) or None
        self._asked: collections.deque[_Asked] = collections.deque()
        self._planned: collections.deque[ApiRequest] = collections.deque()
        self._seen: set[bytes] = set()
        self._last_digest = b""
        self._elements_read = 0
        self._cut = 0
        self._first_envelope: Any = None
        self.count = 0
        self.server_time: datetime | None = None

    def blocks(self, request: ApiRequest) -> Iterator[Block]:
        """The rows of all pages that `request` begins. Raises ExecutionFailures, PaginationLoop among them."""
        self._ask(self._pager.first(request))
        while self._asked:
            current, future = self._asked.popleft()
            answer = self._answer(future)
            if answer is None:
                return
            document = Document(answer, self._params, self._path, self._first_envelope, self._tick)
            try:
                if document.is_small:
                    blocks = self._all_blocks(document, current)
                    if blocks is None:
                        continue
                    self._go_on(current, document, answer)
                    yield from blocks
                else:
                    yield from document.blocks()
                    self._go_on(current, document, answer)
            finally:
                answer.discard()

    def _answer(self, future: concurrent.futures.Future[Answer]) -> Answer | None:
        """The answer, or None when the page before it was the last."""
        try:
            answer = self._client.wait(future, self._tick)
        except ObjectMissing:
            if self.count and self._pager.ends_at_missing:
                return None
            raise
        if self.server_time is None:
            self.server_time = _date_of(answer)
        return answer

    def _all_blocks(self, document: Document, request: ApiRequest) -> Sequence[Block] | None:
        """The page as a whole; None when it is asked for again, for it ended too early."""
        try:
            return list(document.blocks())
        except PartialFile:
            self._cut += 1
            if self._cut >= _ATTEMPTS_AT_A_PAGE:
                raise
            self._asked.appendleft((request, self._client.submit(request)))
            return None

    def _go_on(self, current: ApiRequest, document: Document, answer: Answer) -> None:
        """Ask for what comes after the page."""
        self._cut = 0
        self.count += 1
        self._path = document.path
        if self.count == 1:
            self._first_envelope = document.envelope
        self._elements_read += document.elements
        page = PageFacts(
            answer.shown,
            document.elements,
            self._elements_read,
            document.envelope,
            answer.next_link,
            document.last_value,
        )
        following = self._pager.following(current, page)
        self._refuse_repeats(answer, document)
        if self._most is not None and self.count >= self._most:
            following = None
        if following is None:
            self._drop_plan()
            return
        if self.count == 1:
            self._plan(self._pager.all_following(current, page))
        if not self._asked or self._asked[0][0] != following:
            # Not as planned: a page was shorter, or more were added meanwhile. From here on one by one.
            self._drop_plan()
            self._ask(following)
        while self._planned and len(self._asked) < self._concurrency:
            self._ask(self._planned.popleft())

    def _plan(self, requests: Sequence[ApiRequest]) -> None:
        most = len(requests) if self._most is None else self._most - 1
        self._planned.extend(requests[:most])
        while self._planned and len(self._asked) < self._concurrency:
            self._ask(self._planned.popleft())

    def _drop_plan(self) -> None:
        self._planned.clear()
        for request, future in self._asked:
            future.cancel()
            self._seen.discard(_identity(request))
        self._asked.clear()

    def _ask(self, request: ApiRequest) -> None:
        identity = _identity(request)
        if identity in self._seen:
            raise PaginationLoop(
                f"The pages lead back to {self._client.shown(request.address)}, which was read already "
                f"(after {self.count} pages); check pagination"
            )
        self._seen.add(identity)
        self._asked.append((request, self._client.submit(request)))

    def _refuse_repeats(self, answer: Answer, document: Document) -> None:
        if not self._pager.repeats_are_loops:
            return
        if document.rows and document.digest == self._last_digest:
            raise PaginationLoop(
                f"{answer.shown} has the very rows of the page before it: the server does not know the parameter, or "
                f"repeats its last page; check pagination"
            )
        self._last_digest = document.digest


def _identity(request: ApiRequest) -> bytes:
    body = b"" if request.body is None else orjson.dumps(request.body, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(f"{request.method} {request.address.whole}\n".encode() + body, digest_size=16).digest()


def _date_of(answer: Answer) -> datetime | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
