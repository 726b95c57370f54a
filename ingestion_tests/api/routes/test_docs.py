"""The documentation page works without any other host."""

from __future__ import annotations

import re

import httpx

from ingestion_tests.api.live import Live


def test_the_start_page_leads_to_the_documentation(service: Live) -> None:
    answer = httpx.get(f"{service.url}/", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/docs")
    assert "<title>Data Ingestion API</title>" in answer.text


def test_everything_it_loads_is_here(service: Live) -> None:
    page = httpx.get(f"{service.url}/docs").text
    assert "//" not in re.sub(r"^ *//.*$", "", page, flags=re.MULTILINE), "no address of another host"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 3
    for path in loaded:
        assert httpx.get(f"{service.url}/{path}").status_code == 200


def test_nothing_else_of_the_disk_is_served(service: Live) -> None:
    for path in ("/docs/assets/../__init__.py", "/docs/assets/%2e%2e/%2e%2e/__init__.py", "/docs/assets/none.js"):
        assert httpx.get(service.url + path).status_code == 404
