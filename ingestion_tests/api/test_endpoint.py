from __future__ import annotations

import pytest

from api.endpoint import _links
from api.table import ENDPOINTS
from ingestion.store import Page
from ingestion_tests.api.conftest import SOURCE, Makes
from ingestion_tests.api.live import Live, live


@pytest.mark.parametrize(
    ("number", "pages", "links"),
    [
        (1, 0, {"first": 1, "last": 1}),
        (1, 1, {"first": 1, "last": 1}),
        (1, 3, {"first": 1, "last": 3, "next": 2}),
        (2, 3, {"first": 1, "last": 3, "prev": 1, "next": 3}),
        (3, 3, {"first": 1, "last": 3, "prev": 2}),
        (9, 3, {"first": 1, "last": 3, "prev": 3}),
    ],
)
def test_links_lead_only_to_pages_that_are_there(number: int, pages: int, links: dict[str, int]) -> None:
    assert _links(Page(number, 20), pages) == links


def test_only_what_stores_can_be_asked_not_to() -> None:
    for endpoint in ENDPOINTS:
        assert not endpoint.may_only_validate or endpoint.method in ("POST", "PUT")


def test_addresses_are_those_the_client_sees(tmp_path_factory: pytest.TempPathFactory) -> None:
    public = "https://data.example.com/"
    home = tmp_path_factory.mktemp("public") / "home"
    with live(home, public_url=public) as service, service.client() as client:
        made = client.post("/sources", json=SOURCE)
        listed = client.get("/sources?page_size=1")
    assert made.headers["location"].startswith("https://data.example.com/api/v1/ingestion/sources/")
    assert listed.links["last"]["url"].startswith("https://data.example.com/api/v1/ingestion/sources?")


def test_a_known_entity_is_not_sent_again_but_a_change_always_is(service: Live, makes: Makes) -> None:
    source = makes.source()
    with service.client(headers_more={"If-None-Match": "*"}) as client:
        path = f"/sources/{source['source_id']}"
        assert (client.get(path).status_code, client.head(path).status_code) == (304, 304)
        assert client.put(path, json={"description": "x"}).status_code == 200
