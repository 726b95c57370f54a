"""The table of types in the docs is what a server's columns become."""

from __future__ import annotations

import re
from pathlib import Path

from ingestion.formats.types import type_label
from ingestion.sources.mysql_errors import failure_of
from ingestion_tests.sources.mysql_workbench import MysqlDatabase

PAGE = Path(__file__).parents[2] / "docs" / "sources" / "mysql.md"


def _rows(heading: str) -> list[tuple[str, str]]:
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [(line.split(" | ")[0].strip("| "), line.split(" | ")[1].strip("| ")) for line in lines[2:]]


def test_the_types_are_as_documented(mysql: MysqlDatabase) -> None:
    documented = [
        (kind, re.match(r"[A-Z]+(\([\d, ]+\))?", field)) for kinds, field in _rows("Types") for kind in _quoted(kinds)
    ]
    assert len(documented) > 30
    mysql.run(f"CREATE TABLE t ({', '.join(f'c{index} {kind} NULL' for index, (kind, _) in enumerate(documented))})")
    fields = mysql.connector().describe("t", 1).schema.fields
    found = [(kind, type_label(field)) for (kind, _), field in zip(documented, fields, strict=True)]
    assert found == [(kind, label[0] if label else "") for kind, label in documented]


def test_the_errors_are_as_documented() -> None:
    from MySQLdb import _mysql

    checked = 0
    for what, code in _rows("Errors"):
        for number in re.findall(r"\b[1-4]\d{3}\b", what):
            assert f"`{failure_of(_mysql.OperationalError(int(number), 'x')).code}`" in code
            checked += 1
    assert checked > 15


def _quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)
