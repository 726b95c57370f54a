"""Dagster's web app below its prefix, with and without a code server."""

from __future__ import annotations

import httpx

from ingestion.orchestration.instance import prepare_instance
from ingestion.orchestration.webserver import PATH_PREFIX, DagsterMount, create_dagster_app
from ingestion.settings import Settings
from ingestion.store import Store
from ingestion_tests.orchestration.deployment import now_


async def get(mount: DagsterMount, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=mount.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path)


def test_it_answers_below_its_prefix(mount: DagsterMount) -> None:
    told = now_(get(mount, f"{PATH_PREFIX}/server_info"))
    assert (told.status_code, "dagster_version" in told.json()) == (200, True)
    page = now_(get(mount, f"{PATH_PREFIX}/"))
    assert (page.status_code, f'"{PATH_PREFIX}/' in page.text) == (200, True)
    assert now_(get(mount, "/server_info")).status_code == 404


def test_it_is_usable_while_the_code_server_is_away(settings: Settings) -> None:
    prepare_instance(settings)
    with Store.open(settings.store_url) as store:
        store.migrate()

    mounted = create_dagster_app(settings)

    assert mounted.workspace.location_error is not None
    mounted.close()
