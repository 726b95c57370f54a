from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from api.auth.keys import local_key
from api.auth.permissions import ROLES
from api.auth.tokens import DEFAULT_LIFETIME_SECONDS, LOCAL_ISSUER, issue_token
from api.auth.verify import LocalVerifier
from ingestion.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.mark.parametrize("role", ROLES)
def test_a_token_says_who_and_what_and_until_when(settings: Settings, role: str) -> None:
    verifier = LocalVerifier(local_key(settings), LOCAL_ISSUER, settings.auth_audience)

    claims = anyio.run(verifier.claims, issue_token(settings, role, "me@example.com"))

    assert (claims["sub"], claims["email"], claims["roles"]) == ("me@example.com", "me@example.com", [role])
    assert claims["exp"] - claims["iat"] == DEFAULT_LIFETIME_SECONDS
    other = anyio.run(verifier.claims, issue_token(settings, role, "a robot", expires_in=60))
    assert "email" not in other
    assert other["exp"] - other["iat"] == 60
    assert other["jti"] != claims["jti"]


@pytest.mark.parametrize(
    ("role", "subject", "words"),
    [("king", "me", "'king' is not a role; the roles are admin"), ("admin", " ", "a token needs a subject")],
)
def test_tokens_for_nobody_are_not_issued(settings: Settings, role: str, subject: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        issue_token(settings, role, subject)


def test_an_external_issuer_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"come from https://issuer\.example\.com"):
        issue_token(Settings(home=tmp_path, auth_issuer="https://issuer.example.com"), "admin", "me")
    assert list(tmp_path.iterdir()) == [], "no key is made"
