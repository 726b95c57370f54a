"""An external issuer, as a real small HTTP server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from api.auth.issuer import KEYS_LIFETIME_SECONDS, REFRESH_INTERVAL_SECONDS, IssuerVerifier
from ingestion.errors import NotAuthenticated, ServiceUnavailable


@dataclass
class Issuer:
    """What it publishes can be changed while it runs."""

    url: str = ""
    keys: list[ECKey] = field(default_factory=lambda: [ECKey.generate_key("P-256")])
    named: str | None = None
    is_broken: bool = False
    requests: list[str] = field(default_factory=list)

    def token(self, key: ECKey | None = None) -> str:
        signing = key or self.keys[0]
        signing.ensure_kid()
        claims = {"iss": self.url, "aud": "ingestion", "sub": "me", "exp": int(time.time()) + 60}
        return jwt.encode({"alg": "ES256", "kid": signing.kid}, claims, signing, algorithms=["ES256"])

    def answer(self, path: str) -> Any:
        self.requests.append(path)
        if self.is_broken:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.named or self.url, "jwks_uri": f"{self.url}/keys"}
        for key in self.keys:
            key.ensure_kid()
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


@contextmanager
def serving(issuer: Issuer) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.answer(self.path)
            body = json.dumps(found).encode()
            self.send_response(500 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    with serving(found):
        yield found


class Clock:
    """A time that only moves when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_discovered_once_and_kept(issuer: Issuer) -> None:
    async def story() -> None:
        verifier = IssuerVerifier(issuer.url, "ingestion")
        for _ in range(3):
            assert (await verifier.claims(issuer.token()))["sub"] == "me"

    anyio.run(story)
    assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]


def test_a_new_key_is_found_but_invented_ones_do_not_flood_the_issuer(issuer: Issuer) -> None:
    clock = Clock()

    async def story() -> None:
        verifier = IssuerVerifier(issuer.url, "ingestion", clock)
        await verifier.claims(issuer.token())
        issuer.keys = [ECKey.generate_key("P-256")]
        with pytest.raises(NotAuthenticated, match="does not publish"):
            await verifier.claims(issuer.token())
        clock.now += REFRESH_INTERVAL_SECONDS
        assert (await verifier.claims(issuer.token()))["sub"] == "me"
        asked = len(issuer.requests)
        for _ in range(5):
            with pytest.raises(NotAuthenticated):
                await verifier.claims(issuer.token(ECKey.generate_key("P-256")))
        assert len(issuer.requests) == asked

    anyio.run(story)


def test_keys_are_read_again_after_an_hour_and_stay_good_when_that_fails(issuer: Issuer) -> None:
    clock = Clock()

    async def story() -> None:
        verifier = IssuerVerifier(issuer.url, "ingestion", clock)
        await verifier.claims(issuer.token())
        clock.now += KEYS_LIFETIME_SECONDS + 1
        issuer.is_broken = True
        assert (await verifier.claims(issuer.token()))["sub"] == "me"
        assert issuer.requests.count("/.well-known/openid-configuration") == 2

    anyio.run(story)


def test_without_any_keys_the_service_says_so(issuer: Issuer) -> None:
    async def story(named: str | None, broken: bool) -> None:
        issuer.named, issuer.is_broken = named, broken
        with pytest.raises(ServiceUnavailable, match="cannot be read"):
            await IssuerVerifier(issuer.url, "ingestion").claims(issuer.token())

    anyio.run(story, None, True)
    anyio.run(story, "https://other.example.com", False)


def test_an_issuer_that_is_not_there() -> None:
    async def story() -> None:
        with pytest.raises(ServiceUnavailable):
            await IssuerVerifier("http://127.0.0.1:1", "ingestion").claims("a.b.c")

    anyio.run(story)


def test_many_requests_at_once_ask_once(issuer: Issuer) -> None:
    async def story() -> None:
        verifier = IssuerVerifier(issuer.url, "ingestion")
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(verifier.claims, issuer.token())

    anyio.run(story)
    assert len(issuer.requests) == 2
