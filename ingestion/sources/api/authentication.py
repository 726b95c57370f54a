"""Credentials of a request: resolved when first used, and an OAuth token kept until shortly before it expires."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote_plus

from ingestion.errors import SourceAuthenticationFailed
from ingestion.model.connections import ApiConnection
from ingestion.model.connections.api import ApiKeyAuth, BasicAuth, BearerAuth, OAuth2Auth
from ingestion.sources.api.addresses import address_of
from ingestion.sources.api.request import ApiRequest

_EARLY_SECONDS = 60.0
_DEFAULT_LIFE_SECONDS = 3600.0

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Any]]
"""POST a form with headers to a token endpoint; its JSON document."""


class Authentication(Protocol):
    """Adds credentials to requests."""

    hidden_params: frozenset[str]

    async def applied(self, request: ApiRequest) -> ApiRequest:
        """The request with credentials."""
        ...

    def refused(self, request: ApiRequest) -> bool:
        """Told that a request was answered with 401; whether another attempt has a chance."""
        ...


class FixedAuthentication:
    """The same headers or query parameters for every request."""

    def __init__(self, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
        self._headers = headers
        self._query = query
        self.hidden_params = frozenset(query)

    async def applied(self, request: ApiRequest) -> ApiRequest:
        """The request with credentials."""
        headers = {**request.headers, **self._headers}
        address = request.address.with_query(tuple(self._query.items()))
        return ApiRequest(request.method, address, headers, request.body)

    def refused(self, request: ApiRequest) -> bool:
        """Never: the next attempt would send the same."""
        return False


@dataclass(frozen=True)
class _Token:
    value: str
    renew_at: float


class OAuth2Authentication:
    """Client credentials of OAuth 2.0. One token at a time, and one refresh at a time."""

    hidden_params: frozenset[str] = frozenset()

    def __init__(self, config: OAuth2Auth, secret: str, post: Post, keep_secret: Callable[[str], None]) -> None:
        self._config = config
        self._secret = secret
        self._post = post
        self._keep_secret = keep_secret
        self._token: _Token | None = None
        self._lock = asyncio.Lock()

    async def applied(self, request: ApiRequest) -> ApiRequest:
        """The request with a token that is good for a while yet."""
        async with self._lock:
            if self._token is None or time.monotonic() >= self._token.renew_at:
                self._token = await self._fetched()
            token = self._token
        headers = {**request.headers, "Authorization": f"Bearer {token.value}"}
        return ApiRequest(request.method, request.address, headers, request.body)

    def refused(self, request: ApiRequest) -> bool:
        """Forget the token that was refused; a fresh one may be taken."""
        if self._token is not None and request.headers.get("Authorization") == f"Bearer {self._token.value}":
            self._token = None
        return True

    async def _fetched(self) -> _Token:
        config = self._config
        form = {"grant_type": "client_credentials"}
        headers: dict[str, str] = {}
        if config.client_auth == "client_secret_basic":
            # RFC 6749 2.3.1: both parts are form-encoded before they are joined.
            headers["Authorization"] = basic(quote_plus(config.client_id), quote_plus(self._secret))
        else:
            form |= {"client_id": config.client_id, "client_secret": self._secret}
        optional = {"scope": config.scope, "audience": config.audience}
        form |= {name: value for name, value in optional.items() if value is not None}
        asked_at = time.monotonic()
        answer = await self._post(config.token_url, form, headers)
        value = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            where = address_of(config.token_url).shown()
            raise SourceAuthenticationFailed(f"The token endpoint {where} answered without an access_token")
        self._keep_secret(value)
        life = _life(answer.get("expires_in"))
        return _Token(value, asked_at + life - min(_EARLY_SECONDS, life / 2))


def _life(value: Any) -> float:
    try:
        return max(float(value), 1.0)
    except (TypeError, ValueError):
        return _DEFAULT_LIFE_SECONDS


def basic(username: str, password: str) -> str:
    """The value of an Authorization header for a user name and a password."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def authentication_for(
    connection: ApiConnection, resolve: Callable[[str], str], post: Post, keep_secret: Callable[[str], None]
) -> Authentication:
    """The connection's credentials, resolved. Raises SecretUnavailable."""
    auth = connection.auth()
    if isinstance(auth, OAuth2Auth):
        return OAuth2Authentication(auth, resolve(auth.client_secret_secret), post, keep_secret)
    if isinstance(auth, BasicAuth):
        header = basic(auth.username, resolve(auth.password_secret))
        keep_secret(header.removeprefix("Basic "))
        return FixedAuthentication({"Authorization": header}, {})
    if isinstance(auth, BearerAuth):
        return FixedAuthentication({"Authorization": f"Bearer {resolve(auth.token_secret)}"}, {})
    if isinstance(auth, ApiKeyAuth):
        key = {auth.name: resolve(auth.key_secret)}
        return FixedAuthentication(key, {}) if auth.location == "header" else FixedAuthentication({}, key)
    return FixedAuthentication({}, {})
