"""What the models of `connection_details` share."""

from __future__ import annotations

from typing import TypeVar

from ingestion.model.base import StrictModel
from ingestion.model.references import REFERENCE_FORMS, holds_plain_secret, plain_secrets

Model = TypeVar("Model", bound=StrictModel)


class ConnectionDetails(StrictModel):
    """Base of the per-type models."""


def http_url(url: str | None) -> str | None:
    """`url` itself when it is a web address without a secret in it; else ValueError."""
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not an http:// or https:// address")
    if url is not None and holds_plain_secret(url):
        # Not repeated, for it is the secret itself.
        raise ValueError("must not carry a password or key: an address is stored and shown in plain text")
    return url


def without_plain_secrets(model: Model, *fields: str) -> Model:
    """`model` itself when its free-form `fields` hold secrets by reference only; else ValueError."""
    found = [path for field in fields for path in plain_secrets({field: getattr(model, field) or {}})]
    if found:
        raise ValueError(
            f"{', '.join(found)} must be a secret reference, not a plain-text secret; "
            f"accepted forms are {REFERENCE_FORMS}"
        )
    return model
