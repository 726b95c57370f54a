"""Addresses are put together without losing or telling anything."""

from __future__ import annotations

import pytest

from ingestion.sources.api.addresses import address_of, below, followed, origin


@pytest.mark.parametrize(
    ("endpoint", "path", "whole"),
    [
        ("https://h/v1/", "/orders", "https://h/v1/orders"),
        (
            "https://h/v1?key=a%2Fb",
            "orders?status=open&status=new",
            "https://h/v1/orders?key=a%2Fb&status=open&status=new",
        ),
        ("https://h", None, "https://h/"),
        ("https://h/v1", "a b/ü%2F", "https://h/v1/a%20b/%C3%BC%2F"),
    ],
)
def test_paths_below_an_endpoint(endpoint: str, path: str | None, whole: str) -> None:
    assert below(address_of(endpoint), path).whole == whole


def test_links_are_followed_and_compared_by_origin() -> None:
    here = address_of("https://h/v1/orders?page=1")
    assert followed(here, "?page=2").whole == "https://h/v1/orders?page=2"
    assert followed(here, "/x").whole == "https://h/x"
    assert origin("https://H:443/a") == origin("https://h/b")
    assert origin("http://h/a") != origin("https://h/a")


def test_secrets_are_masked() -> None:
    shown = address_of("https://h/x?api_key=abc&k=def&page=2").shown(frozenset({"k"}))
    assert shown == "https://h/x?api_key=***&k=***&page=2"
