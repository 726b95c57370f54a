"""Reading query parameters: paging and filters, with every problem named at once (wire decisions 18 to 23)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar

from ingestion.errors import InvalidRequest
from ingestion.model.problems import Problem, known_values, shown
from ingestion.store import Page

Choice = TypeVar("Choice", bound=StrEnum)

DEFAULT_PAGE_SIZE = 20
LARGEST_PAGE_SIZE = 100
LARGEST_PAGE = 1_000_000_000
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
# "+02:00" arrives as " 02:00" from clients that forget to encode the plus sign.
_SPACE_FOR_PLUS = re.compile(r"(\S+[T ]\S+) (\d\d:?\d\d)")
_TO_END_OF_SECOND = timedelta(microseconds=999_999)


class QueryReader:
    """Reads parameters one by one; `finish` raises InvalidRequest when any of them was wrong.

    Parameters nobody asks for are ignored.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        self._problems: list[Problem] = []

    def page(self) -> Page:
        """`page` and `page_size`."""
        number = self._integer("page", 1, LARGEST_PAGE)
        size = self._integer("page_size", DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)
        return Page(number=number, size=size)

    def choice(self, name: str, choices: type[Choice]) -> Choice | None:
        """One of an enumeration's values, or None when absent."""
        given = self._parameters.get(name)
        if given is None:
            return None
        try:
            return choices(given)
        except ValueError:
            self._problem(name, f"{shown(given)} is not one of {known_values(choices)}")
            return None

    def text(self, name: str) -> str | None:
        """Any text, or None when absent."""
        return self._parameters.get(name)

    def boolean(self, name: str) -> bool | None:
        """true, false, 1 or 0 in any case, or None when absent."""
        given = self._parameters.get(name)
        if given is None:
            return None
        value = _BOOLEANS.get(given.lower())
        if value is None:
            self._problem(name, f"{shown(given)} is not one of true, false")
        return value

    def period(self, start_name: str, end_name: str) -> tuple[datetime | None, datetime | None]:
        """Two instants, both inclusive; a day as the end means the whole day."""
        start, end = self._instant(start_name, is_end=False), self._instant(end_name, is_end=True)
        if start is not None and end is not None and end < start:
            given = self._parameters
            self._problem(end_name, f"{shown(given[end_name])} lies before {start_name} {shown(given[start_name])}")
        return start, end

    def finish(self) -> None:
        """Raises InvalidRequest with all problems found so far."""
        if self._problems:
            raise InvalidRequest(self._problems)

    def _integer(self, name: str, default: int, largest: int) -> int:
        given = self._parameters.get(name)
        if given is None:
            return default
        # At most 18 digits, so that the conversion is cheap whatever was sent.
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", given):
            self._problem(name, f"{shown(given)} is not an integer between 1 and {largest}")
            return default
        value = int(given)
        if not 1 <= value <= largest:
            self._problem(name, f"must be between 1 and {largest}, not {value}")
            return default
        return value

    def _instant(self, name: str, is_end: bool) -> datetime | None:
        given = self._parameters.get(name)
        if given is None:
            return None
        try:
            return parse_instant(given, is_end)
        except (ValueError, OverflowError):
            form = "2023-06-15, 2023-06-15T17:30:00Z or 2023-06-15T17:30:00+02:00"
            self._problem(name, f"{shown(given)} is not an ISO 8601 date or date-time, such as {form}")
            return None

    def _problem(self, name: str, message: str) -> None:
        self._problems.append(Problem(name, message))


def parse_instant(text: str, is_end: bool) -> datetime:
    """An ISO 8601 date or date-time in UTC, which is meant when no offset is given. Raises ValueError or OverflowError.

    As the end of a period, a date is its last instant and a whole second its last microsecond: what is
    shown as 17:30:00Z lies within a period that ends at 17:30:00Z.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return datetime.combine(day, time.max if is_end else time.min, UTC)
    spaced = _SPACE_FOR_PLUS.fullmatch(text)
    instant = datetime.fromisoformat(f"{spaced[1]}+{spaced[2]}" if spaced else text)
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return instant + _TO_END_OF_SECOND if is_end and instant.microsecond == 0 else instant
