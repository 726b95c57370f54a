"""From the Authorization header to a principal."""

from __future__ import annotations

from starlette.datastructures import Headers

from api.auth.issuer import IssuerVerifier
from api.auth.keys import local_key
from api.auth.principal import Principal
from api.auth.tokens import LOCAL_ISSUER
from api.auth.verify import LocalVerifier, Verifier
from ingestion.errors import NotAuthenticated
from ingestion.settings import Settings


def verifier_for(settings: Settings) -> Verifier:
    """The verifier of this deployment's tokens. Makes the home's key when it is needed and missing."""
    if settings.auth_issuer is not None:
        return IssuerVerifier(settings.auth_issuer, settings.auth_audience)
    return LocalVerifier(local_key(settings), LOCAL_ISSUER, settings.auth_audience)


async def authenticate(headers: Headers, verifier: Verifier) -> Principal:
    """Who sent the request. Raises NotAuthenticated."""
    given = headers.getlist("authorization")
    if not given:
        raise NotAuthenticated("a bearer token is required: Authorization: Bearer YOUR_ACCESS_TOKEN", token_given=False)
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("the Authorization header must be of the form: Bearer YOUR_ACCESS_TOKEN")
    return Principal.of(await verifier.claims(token.strip()))
