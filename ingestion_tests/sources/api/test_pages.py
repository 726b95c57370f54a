"""Every style of pages, set and told: all rows once, in their order."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from ingestion.errors import ObjectMissing, PaginationLoop, ParseFailed, PartialFile, QueryFailed, SourceChanged
from ingestion_tests.servers.http_api import HttpApi, cut, document, status, text
from ingestion_tests.sources.api.conftest import ROWS, Extracts, ids

QUERY = "query($after: String){things(after:$after){edges{node{id}} pageInfo{hasNextPage endCursor}}}"
GRAPHQL = {"query": QUERY, "data_path": "data.things.edges[].node"}


@pytest.mark.parametrize(
    ("path", "params", "requests"),
    [
        ("page", {}, 11),
        ("page", {"pagination": {"type": "page", "page_size": 50, "total_pages_path": "pages"}}, 21),
        ("page", {"pagination": {"type": "page", "page_size": 100, "short_page_ends": True}}, 11),
        ("bare", {"pagination": {"type": "page", "page_param": "p", "first_page": 0, "page_size": 500}}, 4),
        ("offset", {}, 11),
        # The server sends fewer than it is asked for: nothing may be skipped.
        ("offset", {"pagination": {"type": "offset", "page_size": 300, "total_path": "total", "concurrency": 8}}, 11),
        ("offset", {"pagination": {"type": "offset"}}, 12),
        ("cursor", {}, 11),
        (
            "cursor",
            {
                "body": {"filter": {}},
                "pagination": {
                    "type": "cursor",
                    "cursor_param": "after",
                    "cursor_path": "meta.next_cursor",
                    "param_in": "body",
                },
            },
            11,
        ),
        ("link", {}, 11),
        ("link", {"pagination": {"type": "link_header"}}, 11),
        ("next", {}, 11),
        ("next", {"pagination": {"type": "next_url", "next_url_path": "links.next"}, "data_path": "value"}, 11),
        ("keyset", {"pagination": {"type": "keyset", "key_param": "starting_after", "key_field": "id"}}, 12),
        ("graphql", GRAPHQL, 11),
        ("graphql", GRAPHQL | {"pagination": {"type": "graphql"}}, 11),
        ("ndjson", {}, 1),
    ],
)
def test_all_rows_come_once_and_in_order(
    http_api: HttpApi, extracts: Extracts, path: str, params: Any, requests: int
) -> None:
    extraction = extracts(path, **params)
    assert ids(extracts.rows(extraction)) == ids(ROWS)
    assert (extraction.rows, extraction.rejected) == (len(ROWS), 0)
    assert len(http_api.asked(f"/{path}")) == requests


def test_xml_pages(http_api: HttpApi, extracts: Extracts) -> None:
    extraction = extracts(
        "xml", record_tag="row", pagination={"type": "page"}, schema=[{"name": "id", "type": "INTEGER"}]
    )
    assert extracts.rows(extraction) == [{"id": row["id"], "name": row["name"]} for row in ROWS]


def test_max_pages_is_an_end(extracts: Extracts) -> None:
    extraction = extracts("page", pagination={"type": "auto", "max_pages": 3})
    assert ids(extracts.rows(extraction)) == ids(ROWS[:300])


def test_a_page_that_grew_meanwhile_is_followed(http_api: HttpApi, extracts: Extracts) -> None:
    """Planned pages are given up where one says something else than the first."""
    http_api.scripted["/page"].append(document({"page": 1, "pages": 2, "data": ROWS[:100]}))
    assert ids(extracts.rows(extracts("page"))) == ids(ROWS)


def test_rows_that_go_meanwhile_are_noticed(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/gone"] = lambda request: web.json_response(
        {"items": ROWS[:100] if request.query.get("offset", "0") == "0" else [], "offset": 0, "total": 500}
    )
    with pytest.raises(SourceChanged, match="100 of 500 rows came"):
        extracts("gone")


@pytest.mark.parametrize(
    ("answer", "pagination"),
    [
        ({"data": [{"id": 1}], "next_cursor": "same"}, None),
        ({"data": [{"id": 1}], "next": "/loop?page=1"}, None),
        ({"data": [{"id": 1}], "page": 1, "total_pages": 9}, None),
        ({"data": [{"id": 1}]}, {"type": "page"}),
        ({"data": [{"id": 1}]}, {"type": "keyset", "key_param": "after", "key_field": "id"}),
    ],
)
def test_pages_that_lead_back_are_a_loop(http_api: HttpApi, extracts: Extracts, answer: Any, pagination: Any) -> None:
    http_api.always["/loop"] = document(answer)
    with pytest.raises(PaginationLoop, match="check pagination"):
        extracts("loop", pagination=pagination)
    assert len(http_api.seen) <= 8


def test_a_link_to_another_server_is_not_followed(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/away"] = document({"data": [{"id": 1}], "next": "http://169.254.169.254/latest?token=x"})
    with pytest.raises(QueryFailed, match=r"another server \(http://169.254.169.254:80\)"):
        extracts("away")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"data": [{"id": 1}], "has_more": True}, "has_more is true"),
        ({"data": [{"id": 1}], "total": 7}, "total is 7, but 1 rows came"),
        ({"data": [{"id": 1}], "meta": {"next": "abc"}}, "'meta.next' is 'abc'"),
        ({"data": [{"id": 1}], "Paging": {"Next-Start": 50}}, "'Paging.Next-Start' is 50"),
        ({"data": [{"id": 1}], "next": {"from": 2}}, "'next.from' is 2"),
        ({"data": [{"id": 1}], "done": False}, "done is false"),
        ({"data": [{"id": 1}], "TotalSize": 7}, "TotalSize is 7, but 1 rows came"),
        ({"error": {"code": 17, "message": "quota"}}, "holds an error and no rows"),
        ({"orders": [{"id": 1}]}, "where the rows are is unclear, in orders; set data_path"),
        ({"data": {"orders": []}}, "where the rows are is unclear, in data"),
        ({"data": [], "items": []}, "in data or items"),
    ],
)
def test_rows_are_never_left_out_because_nothing_was_told(
    http_api: HttpApi, extracts: Extracts, answer: Any, words: str
) -> None:
    http_api.always["/unclear"] = document(answer)
    with pytest.raises(ParseFailed, match=words):
        extracts("unclear")


def test_a_next_link_without_a_host_is_followed_under_the_name_of_a_crm(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/query"] = document(
        {"totalSize": 2, "done": False, "records": [{"id": 1}], "nextRecordsUrl": "/query/2"}
    )
    http_api.always["/query/2"] = document({"totalSize": 2, "done": True, "records": [{"id": 2}]})
    assert ids(extracts.rows(extracts("query"))) == [1, 2]


def test_a_single_page_that_says_so_is_one_page(http_api: HttpApi, extracts: Extracts) -> None:
    said = {"data": [{"id": 1}], "next": None, "done": True, "count": 1, "page": {"next_url": "", "last": True}}
    http_api.always["/one"] = document(said)
    assert ids(extracts.rows(extracts("one"))) == [1]


def test_a_later_page_without_rows_is_empty_only_when_it_looks_like_the_others(
    http_api: HttpApi, extracts: Extracts
) -> None:
    first = {"kind": "list", "items": [{"id": 1}], "nextPageToken": "a"}
    http_api.scripted["/list"].extend([document(first), document({"kind": "list"})])
    assert ids(extracts.rows(extracts("list"))) == [1]
    http_api.scripted["/list"].extend([document(first), document({"kind": "list", "error": "quota"})])
    with pytest.raises(ParseFailed, match="has no 'items' among kind, error"):
        extracts("list")


def test_a_connection_cut_in_a_page_gives_the_page_again_and_no_half(http_api: HttpApi, extracts: Extracts) -> None:
    body = b'{"results": [' + b", ".join(b'{"id": %d}' % row["id"] for row in ROWS[:100])
    body += b'], "meta": {"next_cursor": "100"}}'
    http_api.scripted["/cursor"].extend([cut(body, 300), text(body[:400]), text(body)])
    assert ids(extracts.rows(extracts("cursor"))) == ids(ROWS)
    assert len(http_api.asked("/cursor")) == 13


def test_a_page_that_always_ends_early_is_partial(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/half"] = text('{"data": [{"id": 1}, {"id"')
    with pytest.raises(PartialFile, match="ends too early"):
        extracts("half")
    assert len(http_api.seen) == 3


def test_missing_is_an_end_only_after_the_first_page(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/none"] = status(404)
    with pytest.raises(ObjectMissing, match="/none"):
        extracts("none", pagination={"type": "page"})
