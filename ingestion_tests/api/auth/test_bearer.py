from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.datastructures import Headers

from api.auth.bearer import authenticate, verifier_for
from api.auth.issuer import IssuerVerifier
from api.auth.principal import Principal
from api.auth.tokens import issue_token
from api.auth.verify import LocalVerifier
from ingestion.errors import NotAuthenticated
from ingestion.settings import Settings


class Believing:
    """Takes any token for the name of its bearer."""

    async def claims(self, token: str) -> Mapping[str, Any]:
        return {"sub": token, "roles": ["admin"]}


def who(*given: str) -> Principal:
    headers = Headers(raw=[(b"authorization", value.encode()) for value in given])
    return anyio.run(authenticate, headers, Believing())


@pytest.mark.parametrize("given", ["Bearer me", "bearer me", "BEARER  me "])
def test_the_token_is_what_follows_the_scheme(given: str) -> None:
    assert who(given).name == "me"


@pytest.mark.parametrize("given", [("",), ("Bearer",), ("Bearer ",), ("Basic bWU=",), ("me",), ("Bearer a",) * 2])
def test_any_other_form_is_an_invalid_token(given: tuple[str, ...]) -> None:
    with pytest.raises(NotAuthenticated, match="must be of the form") as caught:
        who(*given)
    assert caught.value.facts.get("token_given", True)


def test_no_token_is_told_from_an_invalid_one() -> None:
    with pytest.raises(NotAuthenticated, match="a bearer token is required") as caught:
        who()
    assert caught.value.facts["token_given"] is False


def test_the_settings_say_whose_tokens_count(tmp_path: Path) -> None:
    own = Settings(home=tmp_path)
    verifier = verifier_for(own)
    assert isinstance(verifier, LocalVerifier)
    headers = Headers({"Authorization": f"Bearer {issue_token(own, 'read_only', 'me')}"})
    assert anyio.run(authenticate, headers, verifier).name == "me"
    external = Settings(home=tmp_path / "other", auth_issuer="https://issuer.example.com")
    assert isinstance(verifier_for(external), IssuerVerifier)
    assert not (tmp_path / "other").exists()
