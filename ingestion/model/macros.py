"""Date macros in queries: `{{ds}}` and its siblings (wire decision 42).

The set is closed, values are bound by the driver and never spliced into the text as they come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

# 'quoted' or bare: the quotes around a macro belong to the placeholder, the driver adds its own.
_MACRO = re.compile(r"'\{\{\s*([^{}]*?)\s*\}\}'|\{\{\s*([^{}]*?)\s*\}\}")

MACRO_NAMES = (
    "ds",
    "ds_nodash",
    "ts",
    "data_interval_start",
    "data_interval_end",
    "start_date",
    "end_date",
)


@dataclass(frozen=True)
class Interval:
    """The days an execution is about: `start` inclusive, `end` inclusive, and the instant it was asked at."""

    start: date
    end: date
    at: datetime

    def value(self, macro: str) -> str:
        """The text a macro stands for. Raises KeyError for a name outside MACRO_NAMES."""
        day_start = datetime.combine(self.start, time(), UTC)
        last_instant = datetime.combine(self.end, time.max, UTC)
        # "Until forever" is written 9999-12-31, after which there is no day.
        day_after = last_instant if self.end == date.max else last_instant + timedelta(microseconds=1)
        return {
            "ds": self.start.isoformat(),
            "ds_nodash": self.start.isoformat().replace("-", ""),
            "ts": self.at.astimezone(UTC).replace(microsecond=0).isoformat(),
            "data_interval_start": day_start.isoformat(),
            "data_interval_end": day_after.isoformat(),
            "start_date": self.start.isoformat(),
            "end_date": self.end.isoformat(),
        }[macro]


def unknown_macros(query: str) -> list[str]:
    """Names used as macros in `query` that do not exist, in order."""
    return [name for name in _names(query) if name not in MACRO_NAMES]


def embedded_macros(query: str) -> list[str]:
    """Names of macros that stand inside a longer text literal, where no value can be bound."""
    return [_name(m) for m in _MACRO.finditer(query) if query.count("'", 0, m.start()) % 2 == 1]


def render(pattern: str, interval: Interval) -> str:
    """`pattern` (a file pattern, never SQL) with each macro replaced by its value."""
    return _MACRO.sub(lambda match: interval.value(_name(match)), pattern)


def bind(query: str, interval: Interval, placeholder: str = "%s") -> tuple[str, Sequence[str]]:
    """`query` with each macro replaced by `placeholder`, and the values to bind, in order.

    A literal `%` is doubled when the placeholder is of the `%s` style, as drivers of that style expect.
    """
    values: list[str] = []
    parts: list[str] = []
    end = 0
    for match in _MACRO.finditer(query):
        parts += [_literal(query[end : match.start()], placeholder), placeholder]
        values.append(interval.value(_name(match)))
        end = match.end()
    parts.append(_literal(query[end:], placeholder))
    return "".join(parts), values


def _literal(text: str, placeholder: str) -> str:
    return text.replace("%", "%%") if placeholder.startswith("%") else text


def _names(query: str) -> list[str]:
    return [_name(match) for match in _MACRO.finditer(query)]


def _name(match: re.Match[str]) -> str:
    return str(match.group(1) if match.group(1) is not None else match.group(2))
