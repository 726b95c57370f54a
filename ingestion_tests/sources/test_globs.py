from __future__ import annotations

import pytest

from ingestion.sources.globs import compiled, literal_prefix


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "dir/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/a.csv", True),
        ("x/**", "x/y/z", True),
        ("x/**", "y/z", False),
        ("a?.csv", "ab.csv", True),
        ("a?.csv", "a/.csv", False),
        ("a[0-9].csv", "a7.csv", True),
        ("a[!0-9].csv", "a7.csv", False),
        ("a[!0-9].csv", "ax.csv", True),
        ("a[!0-9]b", "a/b", False),
        ("a[]x]b", "a]b", True),
        ("a.csv", "aXcsv", False),
        ("a[.csv", "a[.csv", True),
        ("a[z-a]", "a[z-a]", True),
        ("a+(b).csv", "a+(b).csv", True),
    ],
)
def test_globs(pattern: str, name: str, matches: bool) -> None:
    assert bool(compiled(pattern).fullmatch(name)) is matches


def test_what_every_match_begins_with() -> None:
    assert literal_prefix("in/sales_*.csv") == "in/sales_"
    assert literal_prefix("a.csv") == "a.csv"
    assert literal_prefix("*.csv") == ""
