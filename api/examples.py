"""Examples of every endpoint for the OpenAPI document: the contract's own, and those of what the service adds."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

_FILES = ("examples.json", "examples_added.json")


@functools.cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """The `request` (where there is one) and `response` of each endpoint, by its summary."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in _FILES:
        found |= json.loads(resources.files("api").joinpath(name).read_text(encoding="utf-8"))
    return found


def error_example() -> Any:
    """The contract's example of an error."""
    return examples()["Error Handling"]["response"]
