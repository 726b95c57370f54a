"""Secret references: the only form in which a secret may appear in stored data.

The forms (wire decision 28): `projects/P/secrets/S[/versions/V]` in Secret Manager, `env://NAME` for an
environment variable of the worker, `file://NAME` for a file in the home's `secrets` folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator

_FORMS = (
    re.compile(r"projects/[^/\s]+/secrets/[^/\s]+(/versions/[^/\s]+)?"),
    re.compile(r"env://[A-Za-z_][A-Za-z0-9_]*"),
    re.compile(r"file://[A-Za-z0-9_][A-Za-z0-9_.-]*"),
)
REFERENCE_FORMS = "projects/P/secrets/S[/versions/V], env://NAME, file://NAME"
_SECRET_NAMES = re.compile(
    r"password|passwd|secret|token|api[-_]?key|authorization|private[-_]?key|credential|cookie", re.IGNORECASE
)
_NOT_SECRET = frozenset({"token_url", "credentials", "auth_method", "next_page_token"})


def is_reference(text: str) -> bool:
    """Whether `text` is one of the accepted reference forms."""
    return any(form.fullmatch(text) for form in _FORMS)


def _check_reference(text: str) -> str:
    if not is_reference(text):
        # The value is not repeated: it may be the secret itself.
        raise ValueError(f"must be a secret reference, not a plain-text secret; accepted forms are {REFERENCE_FORMS}")
    return text


SecretReference = Annotated[str, AfterValidator(_check_reference)]


def names_a_secret(key: str) -> bool:
    """Whether a field of this name holds something that must not be stored or shown in plain text."""
    return key not in _NOT_SECRET and _SECRET_NAMES.search(key) is not None


def plain_secrets(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of the fields in free-form `data` that are named like a secret but hold no reference."""
    for key, value in data.items():
        path = f"{prefix}.{key}" if prefix else key
        yield from _plain_secrets_in(value, path, names_a_secret(key))


def _plain_secrets_in(value: Any, path: str, is_secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from plain_secrets(value, path)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _plain_secrets_in(item, f"{path}.{index}", is_secret)
    elif isinstance(value, str) and is_secret and not is_reference(value):
        yield path


def holds_plain_secret(url: str) -> bool:
    """Whether an address carries a password or a key: before its host, or in its query."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    return parts.password is not None or any(names_a_secret(key) and not is_reference(value) for key, value in query)
