"""What comes out of an answer: exact values, whatever its size, packing and shape."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ingestion.errors import ParseFailed, PartialFile, QueryFailed, TooLarge
from ingestion.formats import json_text
from ingestion.sources.api import answers
from ingestion_tests.servers.http_api import HttpApi, compressed, document, text
from ingestion_tests.sources.api.conftest import Extracts, ids

ORDERS = {
    "orders": [
        {"id": 1, "buyer": {"name": "A"}, "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}]},
        {"id": 2, "buyer": {"name": "B"}, "items": []},
        {"id": 3, "items": [{"sku": "z", "n": 3}]},
        {"id": 4, "buyer": None, "items": None},
    ]
}


def test_numbers_and_nested_values_are_what_was_sent(http_api: HttpApi, extracts: Extracts) -> None:
    row = '{"big": 12345678901234567890, "exact": 1.10000000000000000001,\r\n "n": {"v": [1.0, "ü\\n"]}}'
    body = '{\n "data": [\n ' + row + "]}"
    http_api.always["/exact"] = text(body)
    extraction = extracts("exact")
    assert extracts.rows(extraction) == [
        {"big": "12345678901234567890", "exact": "1.10000000000000000001", "n": '{"v": [1.0, "ü\\n"]}'}
    ]


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_packed_answers(http_api: HttpApi, extracts: Extracts, encoding: str) -> None:
    body = json.dumps([{"id": number} for number in range(500)]).encode()
    http_api.always["/packed"] = compressed(body, encoding)
    assert ids(extracts.rows(extracts("packed"))) == list(range(500))


def test_a_packed_answer_that_is_cut_off_is_partial(http_api: HttpApi, extracts: Extracts) -> None:
    packed = gzip.compress(b"\n".join(b'{"id": %d}' % number for number in range(5000)))
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
    http_api.always["/cut"] = lambda request: web.Response(body=packed[:-200], headers=headers)
    with pytest.raises(PartialFile, match="/cut ends too early"):
        extracts("cut")
    http_api.always["/other"] = lambda request: web.Response(body=b"x", headers={"Content-Encoding": "lzw"})
    with pytest.raises(ParseFailed, match="compressed as 'lzw'"):
        extracts("other")


def test_an_answer_beyond_the_memory_is_read_piece_by_piece(
    http_api: HttpApi, extracts: Extracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows and the same next page as in memory, from a file and from an expanding body."""
    monkeypatch.setattr(answers, "IN_MEMORY", 10_000)
    monkeypatch.setattr("ingestion.sources.api.client.IN_MEMORY", 10_000)
    big = {
        "before": {"x": [1]},
        "items": [{"id": number, "text": "ü" * 50} for number in range(3000)],
        "next_cursor": "c",
    }
    last: dict[str, Any] = {"before": {}, "items": [{"id": 3000, "text": ""}], "next_cursor": None}
    for handler in (document(big), compressed(json.dumps(big).encode(), "gzip")):
        http_api.seen.clear()
        http_api.scripted["/big"].extend([handler, document(last)])
        extraction = extracts("big")
        assert ids(extracts.rows(extraction)) == list(range(3001))
        assert http_api.seen[1].query == {"cursor": "c"}
    http_api.scripted["/big"].append(text(json.dumps(big)[:-300]))
    with pytest.raises(PartialFile, match="ends too early"):
        extracts("big")
    assert not list(extracts.folder.glob("pages"))


def test_one_absurd_row_is_too_large(http_api: HttpApi, extracts: Extracts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "IN_MEMORY", 10_000)
    monkeypatch.setattr("ingestion.sources.api.client.IN_MEMORY", 10_000)
    monkeypatch.setattr(json_text, "LONGEST_VALUE", 2 << 20)
    http_api.always["/absurd"] = document([{"id": 1}, {"id": 2, "text": "x" * (5 << 20)}])
    with pytest.raises(TooLarge, match="/absurd"):
        extracts("absurd")


def test_what_is_no_row_is_rejected_with_its_place(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/odd"] = text('{"data": [{"id": 1}, 5, {"id": 4}, "x"]}')
    extraction = extracts("odd")
    assert (extraction.rows, extraction.rejected) == (2, 2)
    assert {(found["position"], found["error_code"]) for found in extracts.rejects(extraction)} == {
        ("line 2", "NOT_AN_OBJECT"),
        ("line 4", "NOT_AN_OBJECT"),
    }


def test_a_document_that_is_only_almost_json_is_refused(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/odd"] = text('{"data": [{"id": 1}, {"id": NaN}]}' + " " * 30)
    with pytest.raises(ParseFailed, match="/odd', line 1: NaN is not JSON"):
        extracts("odd")


@pytest.mark.parametrize(
    ("params", "rows"),
    [
        ({"data_path": "orders[].items[]"}, [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}, {"sku": "z", "n": 3}]),
        (
            {
                "data_path": "orders[].items",
                "parent_columns": {"order_id": "orders[].id", "buyer": "orders[].buyer.name"},
            },
            [
                {"order_id": 1, "buyer": "A", "sku": "x", "n": 1},
                {"order_id": 1, "buyer": "A", "sku": "y", "n": 2},
                {"order_id": 3, "buyer": None, "sku": "z", "n": 3},
            ],
        ),
        (
            {"data_path": "orders", "flatten": True, "schema": [{"name": "id", "type": "STRING"}]},
            [
                {"id": "1", "buyer__name": "A", "items": '[{"sku": "x", "n": 1}, {"sku": "y", "n": 2}]', "buyer": None},
                {"id": "2", "buyer__name": "B", "items": "[]", "buyer": None},
                {"id": "3", "buyer__name": None, "items": '[{"sku": "z", "n": 3}]', "buyer": None},
                {"id": "4", "buyer__name": None, "items": None, "buyer": None},
            ],
        ),
        ({"data_path": "$"}, [{"orders": json.dumps(ORDERS["orders"])}]),
    ],
)
def test_nested_objects_and_arrays(http_api: HttpApi, extracts: Extracts, params: Any, rows: Any) -> None:
    http_api.always["/orders"] = document(ORDERS)
    assert extracts.rows(extracts("orders", **params)) == rows


def test_arrays_of_a_declared_type(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/tags"] = document([{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": "c"}])
    extraction = extracts("tags", schema=[{"name": "tags", "type": "STRING", "mode": "REPEATED"}])
    assert extracts.rows(extraction) == [{"tags": ["a", "b"], "id": 1}]
    assert extraction.rejected == 1


def test_graphql_errors_are_failures_unless_partial_data_is_fine(http_api: HttpApi, extracts: Extracts) -> None:
    params: dict[str, Any] = {"query": "{things{id}}", "data_path": "data.things"}
    http_api.always["/graphql"] = document({"data": None, "errors": [{"message": "no field 'x'"}]})
    with pytest.raises(QueryFailed, match="no field 'x'"):
        extracts("graphql", **params, allow_partial_data=True)
    http_api.always["/graphql"] = document({"data": {"things": [{"id": 1}]}, "errors": [{"message": "half"}]})
    with pytest.raises(QueryFailed, match="half"):
        extracts("graphql", **params)
    assert extracts("graphql", **params, allow_partial_data=True).rows == 1


def test_a_missing_data_path_names_what_is_there(http_api: HttpApi, extracts: Extracts, tmp_path: Path) -> None:
    http_api.always["/orders"] = document(ORDERS)
    with pytest.raises(ParseFailed, match="data_path 'rows' has no 'rows' among orders"):
        extracts("orders", data_path="rows")
