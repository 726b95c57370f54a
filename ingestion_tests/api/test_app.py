"""What answers where, before and after the application has started."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from api.app import create_app
from api.endpoint import BASE_PATH
from api.table import ENDPOINTS
from ingestion.settings import Settings
from ingestion_tests.api.live import Live


def test_making_it_opens_nothing(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path / "home"))

    paths = {route.path for route in app.routes if isinstance(route, Route)}
    assert {BASE_PATH + endpoint.path for endpoint in ENDPOINTS} | {"/healthz", "/readyz"} <= paths
    assert not (tmp_path / "home").exists()
    assert not hasattr(app.state, "backend")


@pytest.mark.parametrize("path", ["/healthz/", "/dagster", "/api", "/api/v1/ingestion"])
def test_nothing_is_redirected_and_a_given_dagster_has_no_pages(service: Live, path: str) -> None:
    answer = httpx.get(service.url + path)
    assert (answer.status_code, answer.json()["error"]) == (404, "RESOURCE_NOT_FOUND")
    assert answer.headers["x-request-id"]
