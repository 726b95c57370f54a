"""The service's only source of time: aware UTC datetimes."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, in UTC with microseconds."""
    return datetime.now(UTC)


def to_wire(instant: datetime) -> str:
    """`instant` as the API writes it: UTC, whole seconds, `Z` (wire decision 18)."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
