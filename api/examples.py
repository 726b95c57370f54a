"""The contract's own examples, for the OpenAPI document."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


@functools.cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """The `request` (where there is one) and `response` of each endpoint, by the contract's heading."""
    text = resources.files("api").joinpath("examples.json").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return found


def error_example() -> Any:
    """The contract's example of an error."""
    return examples()["Error Handling"]["response"]
