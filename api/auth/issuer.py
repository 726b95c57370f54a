"""Tokens of an external OpenID issuer: its keys are discovered, cached and refreshed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from joserfc.jwk import KeySet

from api.auth.verify import UnknownKey, signing_keys, verified_claims
from ingestion.errors import NotAuthenticated, ServiceUnavailable

KEYS_LIFETIME_SECONDS = 3600.0
REFRESH_INTERVAL_SECONDS = 10.0
"""Forged tokens with invented key ids may not make us call the issuer more often than this."""
_ANSWER_SECONDS = 5.0

logger = logging.getLogger("ingestion.api.auth")


class IssuerVerifier:
    """Verifies tokens of one issuer by the keys it publishes. Times are of `clock`, in seconds."""

    def __init__(self, issuer: str, audience: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that verifies. Raises NotAuthenticated, or ServiceUnavailable without any keys."""
        keys = await self._current_keys()
        try:
            return verified_claims(token, keys, self._issuer, self._audience)
        except UnknownKey:
            keys = await self._refreshed(keys)
        try:
            return verified_claims(token, keys, self._issuer, self._audience)
        except UnknownKey as error:
            raise NotAuthenticated("the token was signed by a key its issuer does not publish") from error

    async def _current_keys(self) -> KeySet:
        if self._keys is None or self._clock() - self._fetched_at > KEYS_LIFETIME_SECONDS:
            return await self._refreshed(self._keys)
        return self._keys

    async def _refreshed(self, known: KeySet | None) -> KeySet:
        """Newer keys than `known` if they can be had now; else the ones there are."""
        async with self._lock:
            if self._keys is known and self._may_try():
                self._tried_at = self._clock()
                await self._fetch()
            if self._keys is None:
                raise ServiceUnavailable(f"the keys of the token issuer {self._issuer} cannot be read at the moment")
            return self._keys

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= REFRESH_INTERVAL_SECONDS

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
                configuration = await _object(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                published = await _object(client, self._keys_address(configuration))
            self._keys = signing_keys(published["keys"])
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError) as error:
            # Keys we already have stay good: the issuer being away for a while must not stop everyone.
            logger.warning("cannot read the keys of the token issuer %s: %s", self._issuer, error)
        else:
            self._fetched_at = self._clock()

    def _keys_address(self, configuration: Mapping[str, Any]) -> str:
        if configuration.get("issuer") != self._issuer:
            raise ValueError(f"its OpenID configuration is of another issuer, {configuration.get('issuer')!r}")
        address = str(configuration["jwks_uri"])
        if self._issuer.startswith("https://") and not address.startswith("https://"):
            raise ValueError(f"its keys are at {address}, which is not encrypted")
        return address


async def _object(client: httpx.AsyncClient, address: str) -> Mapping[str, Any]:
    answer = await client.get(address, headers={"Accept": "application/json"})
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise ValueError(f"{address} answers no JSON object")
    return found
