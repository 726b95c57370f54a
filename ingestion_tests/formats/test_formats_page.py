"""docs/formats.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ingestion.formats
from ingestion.formats.detection import kind_of
from ingestion.model.extraction import FileFormat
from ingestion.model.extraction.files import MEANINGFUL

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| `([A-Z]+)` \|.*$", PAGE.split("## Types")[0], re.MULTILINE)}


def test_every_format_has_its_row_and_no_other() -> None:
    assert list(ROWS) == list(FileFormat)


@pytest.mark.parametrize("told", list(FileFormat))
def test_a_format_is_told_by_its_extensions_and_has_its_parameters(told: FileFormat) -> None:
    _, extensions, parameters, _ = (cell.strip() for cell in ROWS[told].strip("|").split("|"))
    assert {kind_of(f"a{extension}").file_format for extension in re.findall(r"`(\.\w+)`", extensions)} == {told}
    assert set(re.findall(r"`(\w+)`", parameters)) == {name for name, formats in MEANINGFUL.items() if told in formats}


def test_every_reject_code_is_explained() -> None:
    sources = Path(ingestion.formats.__path__[0]).glob("*.py")
    used = {code for path in sources for code in re.findall(r'"([A-Z]+_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    explained = set(
        re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE.split("## Rejects")[1].split("What is wrong with a file")[0])
    )
    assert used - {"XML_PARSE_HUGE"} == explained
