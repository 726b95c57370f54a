"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from ingestion.errors import InvalidRequest
from ingestion.model.problems import Problem


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes with microseconds. A naive datetime is refused: its instant is not known."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; SQLite keeps no offset, so it gets none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back to aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class StoredText(TypeDecorator[str]):
    """Text of any length. What no database can hold (a NUL, half a surrogate pair) is the request's fault."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text itself, once it is known to be storable; a member of an enumeration becomes its text."""
        if value is None:
            return None
        if not is_storable(value):
            raise InvalidRequest([Problem("", f"{value!r} holds a character that cannot be stored")])
        return str(value)


def is_storable(text: str) -> bool:
    """Whether both databases can hold `text`; an id that is not storable names nothing."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
