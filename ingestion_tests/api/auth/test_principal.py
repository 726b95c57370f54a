"""What a token's claims allow, and whose name its bearer has."""

from __future__ import annotations

from typing import Any

import pytest

from api.auth.permissions import ALL, READ
from api.auth.principal import Principal
from ingestion.errors import NotAllowed, NotAuthenticated


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "a@b.c", "preferred_username": "a", "sub": "1"}, "a@b.c"),
        ({"preferred_username": "a", "sub": "1"}, "a"),
        ({"email": "", "sub": "1"}, "1"),
        ({"email": 5, "sub": "1"}, "1"),
    ],
)
def test_the_name(claims: dict[str, Any], name: str) -> None:
    assert Principal.of(claims).name == name


def test_a_token_that_names_nobody() -> None:
    with pytest.raises(NotAuthenticated):
        Principal.of({"roles": ["admin"]})


@pytest.mark.parametrize(
    ("claims", "permissions"),
    [
        ({}, frozenset()),
        ({"scope": "source:read openid pipeline:read"}, {"source:read", "pipeline:read"}),
        ({"scp": ["source:read"]}, {"source:read"}),
        ({"scp": "source:read"}, {"source:read"}),
        ({"permissions": ["source:read", 5, "nonsense"]}, {"source:read"}),
        ({"roles": ["admin"]}, ALL),
        ({"roles": ["data_engineer"]}, ALL),
        ({"roles": "read_only"}, READ),
        ({"roles": ["monitoring_user", "unknown"]}, READ),
        ({"roles": ["read_only"], "scope": "pipeline:execute"}, READ | {"pipeline:execute"}),
        ({"roles": {"admin": True}, "scope": None}, frozenset()),
    ],
)
def test_the_permissions(claims: dict[str, Any], permissions: frozenset[str]) -> None:
    principal = Principal.of({"sub": "me"} | claims)
    assert principal.permissions == permissions
    for permission in ALL - permissions:
        with pytest.raises(NotAllowed, match=permission):
            principal.require(permission)
