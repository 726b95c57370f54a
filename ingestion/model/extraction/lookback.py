"""Spans of time as clients write them: "90 seconds", "2 hours", "1 day"."""

from __future__ import annotations

import re

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_FORM = re.compile(r"\s*(\d{1,9})\s*(second|minute|hour|day|week)s?\s*", re.IGNORECASE)


def parse_span(text: str) -> int:
    """The seconds of a span. Raises ValueError for anything but a whole number above 0 and a unit."""
    found = _FORM.fullmatch(text)
    if found is None or int(found[1]) == 0:
        units = ", ".join(f"{unit}s" for unit in _SECONDS)
        raise ValueError(f"{text!r} is not a span of time such as '2 hours'; the units are {units}")
    return int(found[1]) * _SECONDS[found[2].lower()]
