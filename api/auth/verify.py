"""Verifying a token's signature and claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from ingestion.errors import NotAuthenticated

ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
"""Asymmetric signatures only: an HMAC or unsigned token is never accepted, whatever its key."""
SKEW_SECONDS = 60


class UnknownKey(Exception):
    """The token names a key that is not in the key set."""


class Verifier(Protocol):
    """Turns a token into its claims."""

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that verifies. Raises NotAuthenticated, or ServiceUnavailable."""
        ...


class LocalVerifier:
    """Verifies tokens of the home's own key."""

    def __init__(self, key: ECKey, issuer: str, audience: str) -> None:
        self._keys = KeySet([key])
        self._issuer = issuer
        self._audience = audience

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that verifies. Raises NotAuthenticated."""
        try:
            return verified_claims(token, self._keys, self._issuer, self._audience)
        except UnknownKey as error:
            raise NotAuthenticated("the token was signed by another key") from error


def verified_claims(token: str, keys: KeySet, issuer: str, audience: str) -> Mapping[str, Any]:
    """The claims of a token. Raises NotAuthenticated saying what is wrong, or UnknownKey."""
    registry = jwt.JWTClaimsRegistry(
        leeway=SKEW_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )
    try:
        decoded = jwt.decode(token, keys, registry=_Registry())
        registry.validate(decoded.claims)
    except InvalidKeyIdError as error:
        raise UnknownKey(str(error)) from error
    except (JoseError, ValueError, TypeError) as error:
        raise NotAuthenticated(f"the token is not valid: {_reason(error)}") from error
    return decoded.claims


def signing_keys(keys: Iterable[Mapping[str, Any]]) -> KeySet:
    """The usable keys of a published JWKS. A key that is unusable here is left out, as RFC 7517 asks."""
    usable: list[Any] = [key for entry in keys if (key := _signing_key(entry)) is not None]
    return KeySet(usable)


def _signing_key(entry: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    kinds: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    kind = kinds.get(str(entry.get("kty")))
    if kind is None or entry.get("use", "sig") != "sig":
        return None
    try:
        return kind.import_key(dict(entry))
    except (JoseError, ValueError, TypeError, KeyError):
        return None


class _Registry(JWSRegistry):
    # Issuers add header fields of their own; `crit` is still honoured. Certificate chains make headers long.
    max_header_length = 16 * 1024

    def __init__(self) -> None:
        super().__init__(algorithms=ALGORITHMS, strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        if name == "EdDSA":
            # RFC 9864 renamed it to Ed25519, with a warning for the old name, which most issuers still use.
            return self.algorithms[name]
        return super().get_alg(name)


def _reason(error: Exception) -> str:
    description = getattr(error, "description", "") or str(error) or type(error).__name__
    return str(description).rstrip(".")
