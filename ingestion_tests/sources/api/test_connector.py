"""Connection tests and descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ingestion.errors import ObjectMissing
from ingestion.sources.api.connector import ApiConnector
from ingestion_tests.servers.http_api import HttpApi, slow, status
from ingestion_tests.sources.api.conftest import ROWS

Connects = Callable[..., ApiConnector]


def test_a_description_has_the_columns_and_first_rows_of_one_page(http_api: HttpApi, connects: Connects) -> None:
    described = connects().describe("page?page_size=20", 2)
    assert {field.name: field.type.value for field in described.schema.fields} == {
        "id": "INTEGER",
        "name": "STRING",
        "amount": "FLOAT",
        "place": "JSON",
    }
    assert described.sample_rows == ROWS[:2]
    assert [seen.query for seen in http_api.seen] == [{"page_size": "20"}]


@pytest.mark.parametrize(("name", "words"), [("nope", "/nope answered 404"), ("a/../b", "must not leave")])
def test_a_description_of_nothing(connects: Connects, name: str, words: str) -> None:
    with pytest.raises(ObjectMissing, match=words):
        connects().describe(name, 1)


@pytest.mark.parametrize(
    ("details", "answer", "failed", "code"),
    [
        ({"endpoint_url": "http://no-such-host.invalid"}, None, "name_resolution", "CONNECTION_FAILED"),
        ({"endpoint_url": "http://127.0.0.1:1"}, None, "tcp", "CONNECTION_FAILED"),
        ({}, status(401, "who"), "authentication", "AUTHENTICATION_FAILED"),
        ({}, status(403, "no"), "read", "PERMISSION_DENIED"),
        ({}, status(503), "read", "CONNECTION_FAILED"),
        ({}, slow(30, status(200)), "read", "TIMEOUT"),
    ],
)
def test_a_failed_step_is_named(
    http_api: HttpApi, connects: Connects, details: Any, answer: Any, failed: str, code: str
) -> None:
    http_api.always["/"] = answer
    report = connects(**details).check(2)
    assert not report.successful
    assert [check["name"] for check in report.results["checks"] if not check["passed"]] == [failed]
    assert report.results["error_code"] == code
    assert report.results["missing_permissions"] == (["read"] if code == "PERMISSION_DENIED" else [])


def test_an_endpoint_with_nothing_at_its_root_can_be_reached(connects: Connects) -> None:
    report = connects().check(10)
    assert report.successful
    assert "404" in report.results["checks"][-1]["message"]
