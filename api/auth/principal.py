"""The bearer of a verified token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from api.auth.permissions import ALL, ROLES
from ingestion.errors import NotAllowed, NotAuthenticated

_NAME_CLAIMS = ("email", "preferred_username", "sub")


@dataclass(frozen=True)
class Principal:
    """`name` is what `created_by` and `updated_by` show."""

    name: str
    permissions: frozenset[str]

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> Principal:
        """The bearer of a token with these verified claims. Raises NotAuthenticated when they name nobody."""
        name = next((value for claim in _NAME_CLAIMS if isinstance(value := claims.get(claim), str) and value), None)
        if name is None:
            raise NotAuthenticated("the token names nobody: it needs an email, preferred_username or sub claim")
        return cls(name=name, permissions=_permissions(claims))

    def require(self, permission: str) -> None:
        """Raises NotAllowed unless the bearer has the permission."""
        if permission not in self.permissions:
            raise NotAllowed(f"this operation needs the permission '{permission}'", permission=permission)


def _permissions(claims: Mapping[str, Any]) -> frozenset[str]:
    named = {word for claim in ("scope", "scp", "permissions") for word in _words(claims.get(claim))}
    granted = [ROLES[role] for role in _words(claims.get("roles")) if role in ROLES]
    return (ALL & named).union(*granted)


def _words(value: Any) -> Iterable[str]:
    """The words of a claim that is a list, or text separated by spaces."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return [word for word in value if isinstance(word, str)]
    return ()
