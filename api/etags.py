"""Entity tags: the version of one source or pipeline, for conditional requests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

from ingestion.errors import PreconditionFailed

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


@dataclass(frozen=True)
class EntityTag:
    """`version` counts definitions; `variant` names what else is shown and can change without a new definition."""

    version: int
    variant: str = ""

    def __str__(self) -> str:
        return f'W/"{self._opaque}"'

    @property
    def _opaque(self) -> str:
        return f"v{self.version}-{self.variant}" if self.variant else f"v{self.version}"

    def is_known_to(self, headers: Headers) -> bool:
        """Whether If-None-Match says that the client already has exactly this."""
        given = headers.get("if-none-match")
        return given is not None and (given.strip() == "*" or self._opaque in _TAG.findall(given))


def require_tag(headers: Headers, tag: EntityTag) -> None:
    """Raises PreconditionFailed when If-Match names other tags than exactly this one."""
    given = headers.get("if-match")
    if given is not None and given.strip() != "*" and str(tag) not in (f'W/"{name}"' for name in _TAG.findall(given)):
        raise PreconditionFailed(f"the resource has the entity tag {tag}, If-Match allows {given}")


def required_versions(headers: Headers) -> frozenset[str] | None:
    """The versions If-Match allows, or None when any will do."""
    given = headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    return frozenset(tag.partition("-")[0] for tag in _TAG.findall(given))


def check_version(allowed: frozenset[str] | None, version: int) -> None:
    """Raises PreconditionFailed when the client's change is meant for another version."""
    if allowed is not None and f"v{version}" not in allowed:
        raise PreconditionFailed(
            f"the resource is at version v{version}, If-Match allows {', '.join(sorted(allowed)) or 'none'}"
        )
