"""Addresses: what is where, in which spellings, and what belongs to Dagster."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Match, NoMatchFound, Route

from api.routing import DagsterRoute, endpoint_routes
from api.table import ENDPOINTS
from ingestion_tests.api.conftest import Makes, refused


def test_a_path_is_one_route_with_all_its_methods() -> None:
    routes = [route for route in endpoint_routes("/base", ENDPOINTS) if isinstance(route, Route)]
    methods = {route.path: route.methods for route in routes}
    assert len(methods) == len(routes)
    assert (
        methods["/base/sources/{source_id}"]
        == methods["/base/sources/{source_id}/"]
        == {
            "DELETE",
            "GET",
            "HEAD",
            "PUT",
        }
    )


def test_the_end_of_an_object_s_name_is_part_of_the_name() -> None:
    paths = [route.path for route in endpoint_routes("", ENDPOINTS) if isinstance(route, Route)]
    assert "/sources/{source_id}/schema/{object_name:path}" in paths
    assert "/sources/{source_id}/schema/{object_name:path}/" not in paths


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("/dagster", Match.FULL),
        ("/dagster/", Match.FULL),
        ("/dagster/graphql", Match.FULL),
        ("/dagsterx", Match.NONE),
        ("/", Match.NONE),
        ("/api/dagster", Match.NONE),
    ],
)
def test_only_what_is_below_the_prefix_is_dagster_s(path: str, match: Match) -> None:
    route = DagsterRoute(PlainTextResponse("ui"))
    for kind in ("http", "websocket"):
        assert route.matches({"type": kind, "path": path})[0] is match


def test_dagster_s_app_has_no_named_addresses() -> None:
    app = Starlette(routes=[DagsterRoute(PlainTextResponse("ui"))])
    with pytest.raises(NoMatchFound):
        app.url_path_for("anything")


@pytest.mark.parametrize("path", ["/nothing", "/sources/a/b", "/sources//schema/x", "/executions/x/logs", "/%2e%2e/x"])
def test_an_address_where_there_is_nothing(client: httpx.Client, path: str) -> None:
    refused(client.get(path), 404, "RESOURCE_NOT_FOUND")


def test_fixed_paths_win_over_ids_only_for_their_own_methods(client: httpx.Client) -> None:
    refused(client.get("/sources/test-connection"), 404, "RESOURCE_NOT_FOUND", "'test-connection'")
    refused(client.delete("/sources/types"), 404, "RESOURCE_NOT_FOUND", "'types'")
    refused(client.delete("/sources"), 405, "METHOD_NOT_ALLOWED", "DELETE")


def test_a_slash_at_the_end_is_the_same_address(client: httpx.Client, makes: Makes) -> None:
    assert client.get("/sources/").status_code == 200
    assert client.post("/pipelines/", json={}).status_code == 400
    assert client.get(f"/sources/{makes.source()['source_id']}/").status_code == 200


def test_head_is_get_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/sources")
    assert (answer.status_code, answer.content) == (200, b"")
