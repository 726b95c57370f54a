"""Entity tags: versions in both directions."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from api.etags import EntityTag, check_version, required_versions
from ingestion.errors import PreconditionFailed


def test_a_tag_shows_version_and_variant() -> None:
    assert str(EntityTag(7)) == 'W/"v7"'
    assert str(EntityTag(7, "connected")) == 'W/"v7-connected"'


@pytest.mark.parametrize(
    ("header", "known"),
    [('W/"v7"', True), ('"v7"', True), ('W/"v6", W/"v7"', True), ("*", True), ('W/"v6"', False), ("v7", False)],
)
def test_if_none_match(header: str, known: bool) -> None:
    assert EntityTag(7).is_known_to(Headers({"If-None-Match": header})) is known


def test_another_status_is_not_the_same_representation() -> None:
    assert not EntityTag(7, "error").is_known_to(Headers({"If-None-Match": 'W/"v7-connected"'}))


@pytest.mark.parametrize("header", ['W/"v7"', '"v7"', '"v1", "v7"', 'W/"v7-connected"', "*"])
def test_if_match_for_this_version(header: str) -> None:
    check_version(required_versions(Headers({"If-Match": header})), 7)


@pytest.mark.parametrize("header", ['W/"v6"', '"v77"', "nonsense", ""])
def test_if_match_for_another_version(header: str) -> None:
    with pytest.raises(PreconditionFailed, match="v7"):
        check_version(required_versions(Headers({"If-Match": header})), 7)


def test_no_if_match_allows_every_version() -> None:
    assert required_versions(Headers({})) is None
