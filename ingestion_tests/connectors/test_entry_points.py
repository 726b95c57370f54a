"""Connectors are found by their entry points, and what is wrong with them is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ingestion.connectors import GROUP, installed_connectors, load_connector
from ingestion.errors import SourceNotSupported
from ingestion_tests.connectors.numbers import NumbersConnector

NUMBERS = "ingestion_tests.connectors.numbers:NumbersConnector"


def install(folder: Path, package: str, **connectors: str) -> None:
    """What pip leaves of a package with entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in connectors.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path


def test_an_installed_connector_is_loaded_by_its_name(site: Path) -> None:
    install(site, "one", numbers=NUMBERS)
    assert "numbers" in installed_connectors()
    assert load_connector("numbers") is NumbersConnector


def test_the_same_connector_may_be_seen_twice(site: Path) -> None:
    install(site, "one", numbers=NUMBERS)
    install(site, "two", numbers=NUMBERS)
    assert load_connector("numbers") is NumbersConnector


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "ingestion_tests.no_such_module:X",
            r"'bad' \(ingestion_tests.no_such_module:X\) cannot be imported: ModuleNot",
        ),
        ("ingestion_tests.connectors.numbers:Missing", "cannot be imported: AttributeError"),
        ("ingestion_tests.connectors.numbers:Config", "is not a subclass of ingestion.connectors.CustomConnector"),
    ],
)
def test_a_connector_that_cannot_be_used_says_why(site: Path, value: str, message: str) -> None:
    install(site, "one", bad=value)
    with pytest.raises(SourceNotSupported, match=message):
        load_connector("bad")


def test_an_unknown_name_is_answered_with_the_known_ones(site: Path) -> None:
    install(site, "one", numbers=NUMBERS)
    with pytest.raises(SourceNotSupported, match=r"no connector named 'letters' .*; installed are: .*numbers"):
        load_connector("letters")


def test_two_connectors_of_one_name_are_not_guessed_between(site: Path) -> None:
    install(site, "one", numbers=NUMBERS)
    install(site, "two", numbers="ingestion_tests.connectors.numbers:Other")
    with pytest.raises(SourceNotSupported, match=r"installed more than once, as .*NumbersConnector and as .*Other"):
        load_connector("numbers")
