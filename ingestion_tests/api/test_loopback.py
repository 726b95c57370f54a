"""Dagster's web app has no login: it answers pages of this machine only."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from api.loopback import LoopbackOnly, is_loopback
from api.routing import DagsterRoute
from ingestion_tests.api.conftest import refused
from ingestion_tests.api.live import serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    async def ui(request: object) -> PlainTextResponse:
        return PlainTextResponse("ui")

    inner = Starlette(routes=[Route("/dagster{rest:path}", ui, methods=["GET", "POST"])])
    with serving(Starlette(routes=[DagsterRoute(LoopbackOnly(inner))])) as address:
        yield address


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_names_of_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:8000"},
        {"Host": "[::1]:8000"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_this_machine_comes_in(url: str, headers: dict[str, str]) -> None:
    assert httpx.post(f"{url}/dagster/graphql", headers=headers).text == "ui"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.com"},
        {"Host": "evil.example.com:80@localhost"},
        {"Host": "localhost.evil.example.com"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_others_do_not(url: str, headers: dict[str, str]) -> None:
    refused(httpx.get(f"{url}/dagster/graphql?query=x", headers=headers), 403, "PERMISSION_DENIED")


def test_a_websocket_of_another_site_is_refused(url: str) -> None:
    address = url.replace("http", "ws") + "/dagster/graphql"
    with pytest.raises(InvalidStatus, match="403"), connect(address, origin=Origin("https://evil.example.com")):
        pass
