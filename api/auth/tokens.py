"""Tokens of the home's own issuer."""

from __future__ import annotations

import uuid

from joserfc import jwt

from api.auth.keys import local_key
from api.auth.permissions import ROLES
from ingestion import clock
from ingestion.settings import Settings

LOCAL_ISSUER = "ingestion"
DEFAULT_LIFETIME_SECONDS = 24 * 3600


def issue_token(settings: Settings, role: str, subject: str, expires_in: float = DEFAULT_LIFETIME_SECONDS) -> str:
    """A signed token that gives `subject` (an e-mail address, or any name) a role for `expires_in` seconds.

    Raises ValueError for an unknown role, an empty subject, or when tokens come from an external issuer.
    """
    if settings.auth_issuer is not None:
        raise ValueError(f"tokens of this deployment come from {settings.auth_issuer}, not from here")
    if role not in ROLES:
        raise ValueError(f"{role!r} is not a role; the roles are {', '.join(ROLES)}")
    if not subject.strip():
        raise ValueError("a token needs a subject")
    issued_at = int(clock.now().timestamp())
    claims: dict[str, object] = {
        "iss": LOCAL_ISSUER,
        "aud": settings.auth_audience,
        "sub": subject,
        "roles": [role],
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + int(expires_in),
        "jti": str(uuid.uuid4()),
    }
    if "@" in subject:
        claims["email"] = subject
    key = local_key(settings)
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=["ES256"])
