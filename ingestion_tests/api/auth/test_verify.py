"""Which tokens count."""

from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from api.auth.keys import local_key
from api.auth.tokens import LOCAL_ISSUER, issue_token
from api.auth.verify import LocalVerifier, UnknownKey, _Registry, signing_keys, verified_claims
from ingestion.errors import NotAuthenticated
from ingestion.settings import Settings

ISSUER, AUDIENCE = "https://issuer.example.com", "ingestion"


class FromNow(int):
    """Seconds from the moment a token is made, which is long after the tests were collected."""


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "me", "iat": now, "nbf": now, "exp": now + 300} | changes
    timed = {name: now + value if isinstance(value, FromNow) else value for name, value in given.items()}
    return {name: value for name, value in timed.items() if value is not ...}


def sign(key: Any, algorithm: str, **changes: Any) -> str:
    key.ensure_kid()
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims(**changes), key, registry=_Registry())


@pytest.fixture(scope="module")
def key() -> ECKey:
    return ECKey.generate_key("P-256")


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("RS256", RSAKey.generate_key(2048)),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
def test_every_asymmetric_algorithm(algorithm: str, key: Any) -> None:
    assert verified_claims(sign(key, algorithm), KeySet([key]), ISSUER, AUDIENCE)["sub"] == "me"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": FromNow(-61)}, "expired"),
        ({"exp": ...}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"nbf": FromNow(200)}, "not yet valid"),
        ({"iss": "https://other.example.com"}, "iss"),
        ({"iss": ...}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": ...}, "aud"),
        ({"aud": ["x", "y"]}, "aud"),
    ],
)
def test_claims_that_do_not_fit(key: ECKey, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(NotAuthenticated, match=word):
        verified_claims(sign(key, "ES256", **changes), KeySet([key]), ISSUER, AUDIENCE)


@pytest.mark.parametrize("changes", [{"exp": FromNow(-30)}, {"nbf": FromNow(30)}, {"aud": ["x", AUDIENCE]}])
def test_a_minute_of_skew_and_several_audiences(key: ECKey, changes: dict[str, Any]) -> None:
    assert verified_claims(sign(key, "ES256", **changes), KeySet([key]), ISSUER, AUDIENCE)["sub"] == "me"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_unsigned_and_hmac_tokens_are_refused_whatever_their_key(key: ECKey) -> None:
    unsigned = f"{part({'alg': 'none', 'kid': key.kid})}.{part(claims())}."
    signed = f"{part({'alg': 'HS256', 'kid': key.kid})}.{part(claims())}"
    mac = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
    confused = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for token in (unsigned, confused):
        with pytest.raises(NotAuthenticated, match=r"not allowed|not supported"):
            verified_claims(token, KeySet([key]), ISSUER, AUDIENCE)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é.é.é", "e30.e30.e30", "bnVsbA.bnVsbA.bnVsbA"])
def test_what_is_no_token_at_all(key: ECKey, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        verified_claims(token, KeySet([key]), ISSUER, AUDIENCE)


def test_a_changed_payload(key: ECKey) -> None:
    head, _, signature = sign(key, "ES256").split(".")
    with pytest.raises(NotAuthenticated):
        verified_claims(f"{head}.{part(claims(sub='other'))}.{signature}", KeySet([key]), ISSUER, AUDIENCE)


def test_an_unknown_key_is_told_from_a_bad_token(key: ECKey) -> None:
    with pytest.raises(UnknownKey):
        verified_claims(sign(ECKey.generate_key("P-256"), "ES256"), KeySet([key]), ISSUER, AUDIENCE)


def test_published_keys_that_cannot_sign_are_left_out(key: ECKey) -> None:
    good = key.as_dict(private=False)
    found = signing_keys(
        [good, good | {"kid": "e", "use": "enc"}, {"kty": "oct", "k": "AAAA"}, {"kty": "EC"}, {"kty": "?"}]
    )
    assert [entry.kid for entry in found] == [key.kid]


def test_a_local_token_and_one_of_another_home(tmp_path: Path) -> None:
    homes = [Settings(home=tmp_path / name) for name in ("one", "two")]
    verifier = LocalVerifier(local_key(homes[0]), LOCAL_ISSUER, homes[0].auth_audience)
    own, foreign = (issue_token(home, "read_only", "me@example.com") for home in homes)
    assert anyio.run(verifier.claims, own)["roles"] == ["read_only"]
    with pytest.raises(NotAuthenticated, match="another key"):
        anyio.run(verifier.claims, foreign)
