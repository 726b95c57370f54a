"""The page about PostgreSQL says of each type what the code makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingestion.model.extraction import DatabaseExtraction
from ingestion.sources.postgres_connection import session
from ingestion.sources.postgres_relation import table_relation
from ingestion.sources.postgres_types import _BY_NAME
from ingestion_tests.sources.postgres_workbench import Database, login

PAGE = (Path(__file__).parents[2] / "docs" / "sources" / "postgresql.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?) \| ([A-Z, or]+) \|", PAGE.split("## Types")[1], re.MULTILINE)
BECOMES = {kind: field for kinds, field in ROWS for kind in re.findall(r"`([^`]+)`", kinds)}


def test_each_type_becomes_what_the_page_says(database: Database) -> None:
    kinds = [kind for kind in BECOMES if kind not in ("record", "hstore")]
    columns = ", ".join(f"c{index} {kind}" for index, kind in enumerate(kinds))
    database.run(f"CREATE TABLE t ({columns})")
    with session(login(database.connection(), database.context)) as opened:
        found = table_relation(opened, "t").columns
    for kind, column in zip(kinds, found, strict=True):
        if column.staged.is_open_decimal:
            assert BECOMES[kind] == "NUMERIC, BIGNUMERIC or STRING"
        else:
            assert BECOMES[kind] == column.staged.field.type.value, kind


def test_no_type_of_the_code_is_missing() -> None:
    assert set(_BY_NAME) <= set(BECOMES)


@pytest.mark.parametrize("key", sorted(set(DatabaseExtraction.model_fields)))
def test_each_parameter_is_on_the_page(key: str) -> None:
    assert f"`{key}`" in PAGE
