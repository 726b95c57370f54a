"""Globs over object names, as Google Cloud Storage has them: `*` and `?` stop at `/`, `**` does not."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[*?\[]")


def literal_prefix(pattern: str) -> str:
    """The part of `pattern` before its first wildcard: what every match begins with."""
    found = _SPECIAL.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression that fully matches the names that the glob matches."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            part, length = "(?:.*/)?", 3
        elif rest.startswith("**"):
            part, length = ".*", 2
        elif rest[0] == "*":
            part, length = "[^/]*", 1
        elif rest[0] == "?":
            part, length = "[^/]", 1
        elif found := re.match(r"\[(!|\^)?(\]?[^\]]*)\]", rest):
            negated, chosen = found.groups()
            escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", chosen)
            part, length = f"(?!/)[{'^' if negated else ''}{escaped}]", found.end()
        else:
            part, length = re.escape(rest[0]), 1
        parts.append(part)
        position += length
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return re.compile(re.escape(pattern))  # A range such as [z-a] matches only itself.
