"""docs/types.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingestion.formats.bigquery_types import column_type
from ingestion.formats.types import arrow_type, duckdb_type
from ingestion.model.schema import FieldMode, FieldType, SchemaField
from ingestion.model.source import SourceType

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "types.md").read_text(encoding="utf-8")
PART = (SchemaField(name="a", type=FieldType.INTEGER),)
FIELDS = {
    **{f"`{kind}`": SchemaField(name="x", type=kind) for kind in FieldType if kind is not FieldType.RECORD},
    "`NUMERIC(12, 2)`": SchemaField(name="x", type=FieldType.NUMERIC, precision=12, scale=2),
    "`BIGNUMERIC(38, 30)`": SchemaField(name="x", type=FieldType.BIGNUMERIC, precision=38, scale=30),
    "`RECORD` of `a` `INTEGER`": SchemaField(name="x", type=FieldType.RECORD, fields=PART),
    "`INTEGER`, `REPEATED`": SchemaField(name="x", type=FieldType.INTEGER, mode=FieldMode.REPEATED),
}


def _matrix() -> dict[str, list[str]]:
    rows = [line for line in PAGE.split("\n\n")[2].splitlines()[2:] if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]
    return {first: [cell.strip("`").removesuffix("`") for cell in rest] for first, *rest in cells}


def test_the_matrix_has_every_field_type_and_no_other() -> None:
    assert set(_matrix()) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_the_matrix_is_that_of_the_code(name: str) -> None:
    field = FIELDS[name]
    bigquery = column_type(field)
    assert _matrix()[name] == [str(arrow_type(field)), duckdb_type(field), bigquery]


def test_every_source_type_leads_to_its_types() -> None:
    for source_type in SourceType:
        assert f"\n| `{source_type}` |" in PAGE
    for page, heading in re.findall(r"\]\(([^)#]+)#([^)]+)\)", PAGE):
        headings = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in [found.lower().replace(" ", "-") for found in headings], f"{page}#{heading}"
