"""Where rows are in a document: `data.orders[].items[]`, a step for each key, `[]` for every element of an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingestion.errors import ParseFailed
from ingestion.model.extraction.api import DOCUMENT

ENVELOPE_NAMES = (
    "data",
    "items",
    "results",
    "records",
    "rows",
    "value",
    "values",
    "entries",
    "objects",
    "elements",
    "result",
    "hits",
    "list",
    "content",
)
"""Members that hold an answer's rows when nothing is said."""
_ERROR_NAMES = {"error", "errors", "fault"}
_BESIDE_AN_ERROR = _ERROR_NAMES | {"message", "status", "code", "success", "ok", "error_description", "error_code"}
_WRAPPERS = (*ENVELOPE_NAMES, "_embedded", "response")


@dataclass(frozen=True)
class Step:
    """A key, and whether every element of the array there is meant. The key is "" for the array itself."""

    key: str
    each: bool = False


@dataclass(frozen=True)
class RowPath:
    """`outer` leads to the value that is read piece by piece; `inner` on from each of its elements."""

    outer: tuple[str, ...]
    inner: tuple[Step, ...] = ()
    text: str = DOCUMENT


def row_path(data_path: str) -> RowPath:
    """The path taken apart."""
    if data_path == DOCUMENT:
        return RowPath(())
    steps = [_step(part) for part in data_path.split(".")]
    at = next((index for index, step in enumerate(steps) if step.each), len(steps) - 1)
    outer = tuple(step.key for step in steps[: at + 1] if step.key)
    return RowPath(outer, tuple(steps[at + 1 :]), data_path)


def _step(part: str) -> Step:
    return Step(part.removesuffix("[]"), part.endswith("[]"))


@dataclass(frozen=True)
class ParentColumn:
    """A column taken from an enclosing element: `depth` inner steps below the outer array, then `keys`."""

    name: str
    depth: int
    keys: tuple[str, ...]


def parent_columns(columns: Mapping[str, str] | None, path: RowPath) -> Sequence[ParentColumn]:
    """The columns of enclosing elements by how deep these are; their paths were checked against the data path."""
    if not columns:
        return ()
    outer_arrays = path.text.split("[].")
    found = []
    for name, given in columns.items():
        depth = given.count("[].")
        # Elements below the outer array: as many inner steps as the data path has up to that array.
        steps = sum(len(part.split(".")) for part in outer_arrays[1:depth])
        found.append(ParentColumn(name, steps, tuple(given.rpartition("[].")[2].split("."))))
    return found


def value_at(document: Any, path: str) -> Any:
    """The value at a dotted path, or None when there is none. Digits are elements of arrays."""
    value = document
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def told_path(kinds: Mapping[str, str], shown: str) -> RowPath:
    """Where the rows are when nothing is said, given the first character of each member's value.

    Raises ParseFailed when that is not obvious: rows that are overlooked would be lost without a word.
    """
    arrays = [name for name in ENVELOPE_NAMES if kinds.get(name) == "["]
    if len(arrays) == 1:
        return RowPath((arrays[0],), (), arrays[0])
    doubtful = arrays or [name for name in kinds if kinds[name] == "[" or (kinds[name] == "{" and name in _WRAPPERS)]
    if doubtful:
        raise ParseFailed(
            f"{shown}: where the rows are is unclear, in {' or '.join(doubtful[:10])}; set data_path, "
            f"to '{DOCUMENT}' if the whole document is one row",
            url=shown,
        )
    if _ERROR_NAMES & kinds.keys() and not kinds.keys() - _BESIDE_AN_ERROR:
        raise ParseFailed(
            f"{shown} holds an error and no rows: its members are {', '.join(kinds)}. If it is a row, set data_path "
            f"to '{DOCUMENT}'",
            url=shown,
        )
    return RowPath(())
