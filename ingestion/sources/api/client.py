"""The HTTP client of an API source: one request, whatever it takes, or the failure that ended it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, quote_plus

import orjson

from ingestion.errors import ExecutionFailure, QueryFailed, SecretUnavailable, SourceAuthenticationFailed, TooLarge
from ingestion.model.connections import ApiConnection
from ingestion.sources.api.addresses import Address, address_of, followed, origin
from ingestion.sources.api.answers import ACCEPTED_ENCODINGS, IN_MEMORY, LARGEST_BODY, Answer
from ingestion.sources.api.authentication import Authentication, authentication_for
from ingestion.sources.api.failures import connection_failure, failure_of, gave_up, is_passing, is_rate_limit
from ingestion.sources.api.limits import RETRY_SECONDS, Patience, RateLimit, retry_after
from ingestion.sources.api.loop import LoopThread
from ingestion.sources.api.request import ApiRequest
from ingestion.sources.base import ConnectorContext

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_SECONDS = 60.0
_LONGEST_LINE = 64 << 10
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_ATTEMPTS_BEFORE_ANY_ANSWER = 3

Tick = Callable[[], None]


class ApiClient:
    """Asks one API. A context manager; `fetch` and `submit` are for one thread, the work is done in another."""

    def __init__(
        self,
        connection: ApiConnection,
        context: ConnectorContext,
        folder: Path,
        timeout_seconds: float | None = None,
        retry_seconds: float | None = None,
    ) -> None:
        self._connection = connection
        self._context = context
        self._folder = folder
        self._timeout = timeout_seconds or connection.timeout_seconds or TIMEOUT_SECONDS
        given = retry_seconds if retry_seconds is not None else connection.retry_seconds
        self._retry_seconds = RETRY_SECONDS if given is None else given
        self._origin = origin(connection.endpoint_url)
        self._secrets: set[str] = set()
        self._loop = LoopThread()
        self._rate = RateLimit(connection.rate_limit)
        self._session: aiohttp.ClientSession | None = None
        self._authentication: Authentication | None = None
        self._has_answered = False
        self.requests = 0
        self.bytes_received = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._loop.__enter__()
        try:
            self._loop.wait(self._loop.submit(self._open()), lambda: None)
        except BaseException:
            self._loop.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._loop.wait(self._loop.submit(self._close()), lambda: None)
        finally:
            self._loop.__exit__()

    def submit(self, request: ApiRequest) -> concurrent.futures.Future[Answer]:
        """Begin to ask."""
        return self._loop.submit(self._fetch(request))

    def wait(self, future: concurrent.futures.Future[Answer], tick: Tick) -> Answer:
        """The answer to a request that was begun. Raises an ExecutionFailure, or what `tick` raises."""
        return self._loop.wait(future, tick)

    def fetch(self, request: ApiRequest, tick: Tick) -> Answer:
        """Ask, and wait for the answer."""
        return self.wait(self.submit(request), tick)

    def resolve(self, reference: str) -> str:
        """A secret, which from now on appears in no message. Raises SecretUnavailable."""
        secret = self._context.resolve_secret(reference)
        if any(ord(character) < 32 for character in secret):
            raise SecretUnavailable(f"'{reference}' has line breaks or other characters that no request can carry")
        self._keep_secret(secret)
        return secret

    def same_origin(self, current: Address, link: str) -> Address:
        """The address a link leads to. Raises QueryFailed when it leaves the source, whose credentials it would get."""
        target = followed(current, link)
        if origin(target.url) != self._origin:
            scheme, host, port = origin(target.url)
            raise QueryFailed(
                f"{self.shown(current)} leads to another server ({scheme}://{host}:{port}), which is not followed: it "
                f"would get the source's credentials. If it is the API's own, set endpoint_url to it"
            )
        return target

    def shown(self, address: Address) -> str:
        """An address for messages."""
        hidden = self._authentication.hidden_params if self._authentication else frozenset()
        text = address.shown(hidden)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _keep_secret(self, secret: str) -> None:
        if len(secret) >= 3:
            self._secrets |= {secret, quote(secret), quote_plus(secret)}

    async def _open(self) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._connection.verify_ssl is not False),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": ACCEPTED_ENCODINGS, "User-Agent": "ingestion"},
            auto_decompress=False,
            read_bufsize=1 << 20,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._authentication = authentication_for(self._connection, self.resolve, self._post_form, self._keep_secret)

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _fetch(self, request: ApiRequest) -> Answer:
        """The answer to a request with the source's credentials."""
        assert self._authentication is not None
        had_401 = False
        while True:
            authorized = await self._authentication.applied(request)
            answer = await self._patiently(authorized)
            if answer.status == 401 and not had_401 and self._authentication.refused(authorized):
                had_401 = True
                answer.discard()
                continue
            if not 200 <= answer.status < 300:
                answer.discard()
                raise failure_of(answer)
            return answer

    async def _post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        """The JSON document a token endpoint answers."""
        request = ApiRequest("POST", address_of(url), {"Accept": "application/json", **headers})
        answer = await self._patiently(request, form, may_redirect=False)
        if answer.status != 200:
            failure = failure_of(answer)
            if 400 <= answer.status < 500:
                failure = SourceAuthenticationFailed(
                    f"No token: {answer.shown} answered {answer.status}: {answer.head()}. Check client_id, "
                    f"client_secret_secret, scope and audience"
                )
            raise failure
        try:
            return orjson.loads(answer.small() or b"")
        except orjson.JSONDecodeError as error:
            raise SourceAuthenticationFailed(f"No token: {answer.shown} answered {answer.head()}") from error

    async def _patiently(
        self, request: ApiRequest, form: Mapping[str, str] | None = None, may_redirect: bool = True
    ) -> Answer:
        """The first answer that is no refusal which passes. Raises when that takes too long."""
        patience = Patience(self._retry_seconds)
        while True:
            asked: float | None = None
            most = {} if self._has_answered else {"most_attempts": _ATTEMPTS_BEFORE_ANY_ANSWER}
            try:
                answer = await self._followed(request, form, may_redirect)
            except ExecutionFailure as error:
                if not error.transient:
                    raise
                failure = error
            else:
                most = {}
                if not (is_passing(answer.status) or is_rate_limit(answer.status, answer.headers)):
                    return answer
                failure = failure_of(answer)
                answer.discard()
                asked = retry_after(answer.headers.get("retry-after"), self._context.now())
            pause = patience.pause(asked, **most)
            if pause is None:
                raise gave_up(failure, patience.attempts, patience.waited, asked)
            if asked is not None:
                self._rate.hold(pause)
            await asyncio.sleep(pause)

    async def _followed(self, request: ApiRequest, form: Mapping[str, str] | None, may_redirect: bool) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._once(request, form)
            link = answer.headers.get("location")
            if answer.status not in _REDIRECTS or link is None or not may_redirect:
                return answer
            answer.discard()
            request = replace(request, address=self.same_origin(request.address, link))
            if answer.status == 303 or (answer.status in (301, 302) and request.method == "POST"):
                request = replace(request, method="GET", body=None)
        raise QueryFailed(f"{self.shown(request.address)} was redirected more than {_MOST_REDIRECTS} times")

    async def _once(self, request: ApiRequest, form: Mapping[str, str] | None) -> Answer:
        import aiohttp
        import yarl

        assert self._session is not None
        await self._rate.wait()
        self.requests += 1
        shown = self.shown(request.address)
        headers = {"Accept": "application/json, application/xml;q=0.9, */*;q=0.8", **request.headers}
        data: Any = form
        if request.body is not None:
            data = orjson.dumps(request.body)
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                request.method,
                yarl.URL(request.address.whole, encoded=True),
                headers=headers,
                data=data,
                allow_redirects=False,
            ) as response:
                body, size = await self._body(response, shown)
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise connection_failure(error, shown, self._timeout) from error
        self._has_answered = True
        self.bytes_received += size
        return Answer(
            address=request.address,
            shown=shown,
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            next_link=_next_link(response),
            body=body,
            size=size,
            hidden=frozenset(self._secrets),
        )

    async def _body(self, response: aiohttp.ClientResponse, shown: str) -> tuple[bytes | Path, int]:
        """The body as sent; in a file when it is large."""
        parts: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            parts.append(chunk)
            size += len(chunk)
            if size > IN_MEMORY:
                return await self._spilled(response, parts, size, shown)
        return b"".join(parts), size

    async def _spilled(
        self, response: aiohttp.ClientResponse, parts: list[bytes], size: int, shown: str
    ) -> tuple[Path, int]:
        """What was begun after an error is removed with the folder, which is the reading's own."""
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".body", delete=False) as file:
            path = Path(file.name)
            file.writelines(parts)
            async for chunk in response.content.iter_any():
                file.write(chunk)
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise TooLarge(f"The answer of {shown} is larger than {LARGEST_BODY} bytes; ask for pages")
        return path, size


def _next_link(response: aiohttp.ClientResponse) -> str | None:
    """The address of the Link header with rel=next."""
    if "link" not in response.headers or "next" not in response.links:
        return None
    return str(response.links["next"]["url"])
