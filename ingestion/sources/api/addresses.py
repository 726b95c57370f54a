"""Addresses: put together, compared by origin, and shown without what is secret in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from ingestion.model.references import is_reference, names_a_secret

Query = tuple[tuple[str, str], ...]

_PORTS = {"http": 80, "https": 443}
_SHOWN_VALUE = 60


@dataclass(frozen=True)
class Address:
    """An address with its query as pairs; `url` is without it."""

    url: str
    query: Query = ()

    def with_query(self, pairs: Sequence[tuple[str, str]]) -> Address:
        """With these parameters in place of those of the same names."""
        names = {name for name, _ in pairs}
        return Address(self.url, (*(pair for pair in self.query if pair[0] not in names), *pairs))

    @property
    def whole(self) -> str:
        """As it is sent."""
        return f"{self.url}?{urlencode(self.query)}" if self.query else self.url

    def shown(self, hidden: frozenset[str] = frozenset()) -> str:
        """For messages: values of secret parameters, and of those named in `hidden`, are masked."""
        if not self.query:
            return self.url
        pairs = [f"{name}={_shown_value(name, value, hidden)}" for name, value in self.query]
        return f"{self.url}?{'&'.join(pairs)}"


def _shown_value(name: str, value: str, hidden: frozenset[str]) -> str:
    if name in hidden or names_a_secret(name):
        return "***"
    return value if len(value) <= _SHOWN_VALUE else f"{value[:_SHOWN_VALUE]}..."


def address_of(url: str, resolve: Callable[[str], str] = lambda reference: reference) -> Address:
    """`url` taken apart; references in its query are resolved."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = tuple((name, resolve(value) if is_reference(value) else value) for name, value in pairs)
    return Address(urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", "")), query)


def below(endpoint: Address, path: str | None) -> Address:
    """The address of `path` (which may have a query) below the endpoint."""
    if not path or path == "/":
        return endpoint
    plain, _, query = path.partition("?")
    base = endpoint.url.rstrip("/")
    joined = f"{base}/{quote(plain.lstrip('/'), safe=_PATH_CHARACTERS)}" if plain else base
    return Address(joined, endpoint.query).with_query(parse_qsl(query, keep_blank_values=True))


_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._"


def followed(current: Address, link: str) -> Address:
    """Where a link in an answer from `current` leads."""
    return address_of(urljoin(current.whole, link))


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a credential may be sent to."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme.lower())
