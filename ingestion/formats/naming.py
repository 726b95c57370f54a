"""Column names that a table can have: none empty, none twice, the same for the same file."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 300


def unique_names(names: Iterable[str]) -> list[str]:
    """`names` stripped; an empty one becomes `f<position>`, a repeated one (case does not count) gets `_2`, `_3`..."""
    wanted = [(name.strip() or f"f{position}")[:_LONGEST] for position, name in enumerate(names)]
    taken = {name.lower() for name in wanted}
    seen: set[str] = set()
    result: list[str] = []
    for name in wanted:
        if name.lower() in seen:
            name = free_name(name, taken | seen)
        seen.add(name.lower())
        result.append(name)
    return result


def free_name(name: str, taken: set[str]) -> str:
    """`name` with the lowest suffix `_2`, `_3`... whose lower-case form is not in `taken`."""
    number = 2
    while True:
        suffix = f"_{number}"
        candidate = f"{name[: _LONGEST - len(suffix)]}{suffix}"
        if candidate.lower() not in taken:
            return candidate
        number += 1
