"""Holding live answers against the contract's printed examples.

Two answers are the same when they have the same keys in the same order and the same values, except for what
cannot be equal: ids (must be equal where the example's are), times (must be of the same form) and
measurements (must be numbers where the example has numbers).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

CONTRACT: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "contract.json").read_text())
"""Every JSON example of the contract by its heading: `request`, `response`, `connection_details`."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_RUN_ID = re.compile(r"(.+)_\d{8}T\d{6}(_\d+)?")

# Objects that the contract leaves open: further measurements and parameters may stand beside its own.
OPEN = frozenset({"metrics", "task_params", "op_kwargs", "test_results", "measurements"})
# Values that tell of the place where the service runs.
LOCAL = frozenset(
    {
        "destination",
        "input_file",
        "output_file",
        "destination_project_dataset_table",
        "log_url",
        "python_callable",
        "bucket",
        "object",
        "source_objects",
        "schema_fields",
        "write_disposition",
    }
)


class Golden:
    """Compares answers of one story, so that an id means the same in all of them."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def check(self, actual: Any, expected: Any) -> None:
        """AssertionError naming the first place where `actual` departs from the example."""
        self._check(actual, expected, "$", "")

    def _check(self, actual: Any, expected: Any, path: str, key: str) -> None:
        if isinstance(expected, dict):
            self._check_object(actual, expected, path, key)
        elif isinstance(expected, list):
            assert isinstance(actual, list), f"{path}: {actual!r} is not a list"
            if key not in LOCAL:
                assert len(actual) == len(expected), f"{path}: {len(actual)} items, example has {len(expected)}"
                for number, (one, other) in enumerate(zip(actual, expected, strict=True)):
                    self._check(one, other, f"{path}[{number}]", "")
        elif isinstance(expected, str):
            self._check_text(actual, expected, path, key)
        else:
            assert actual == expected, f"{path}: {actual!r}, example has {expected!r}"
            assert isinstance(actual, type(expected)), f"{path}: {actual!r} is of another type than {expected!r}"

    def _check_object(self, actual: Any, expected: dict[str, Any], path: str, key: str) -> None:
        assert isinstance(actual, dict), f"{path}: {actual!r} is not an object"
        if key in OPEN:
            missing = expected.keys() - actual.keys()
            assert not missing, f"{path}: {missing} missing, has {list(actual)}"
        else:
            assert list(actual) == list(expected), f"{path}: keys {list(actual)}, example has {list(expected)}"
        for name, value in expected.items():
            if key in OPEN and isinstance(value, int | float) and not isinstance(value, bool):
                assert isinstance(actual[name], int | float), f"{path}.{name}: {actual[name]!r} is not a number"
            else:
                self._check(actual[name], value, f"{path}.{name}", name)

    def _check_text(self, actual: Any, expected: str, path: str, key: str) -> None:
        assert isinstance(actual, str), f"{path}: {actual!r} is not text"
        if key in LOCAL:
            assert actual, f"{path}: empty"
        elif _UUID.fullmatch(expected):
            assert _UUID.fullmatch(actual), f"{path}: {actual!r} is not an id"
            assert self._ids.setdefault(expected, actual) == actual, f"{path}: another id than before"
        elif _TIME.fullmatch(expected):
            assert _TIME.fullmatch(actual), f"{path}: {actual!r} is not a time"
        elif key == "dag_run_id":
            given, wanted = _RUN_ID.fullmatch(actual), _RUN_ID.fullmatch(expected)
            assert (given and given[1]) == (wanted and wanted[1]), f"{path}: {actual!r}, example has {expected!r}"
        else:
            assert actual == expected, f"{path}: {actual!r}, example has {expected!r}"
