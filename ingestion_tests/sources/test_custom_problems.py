"""Wrong configs and params of connectors are found before anything is stored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ingestion.model.connections import CustomConnection
from ingestion.model.extraction import CustomExtraction
from ingestion.sources.custom_problems import config_problems, params_problems
from ingestion_tests.connectors.test_entry_points import NUMBERS, install


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "numbers", numbers=NUMBERS)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])


@pytest.mark.parametrize(
    ("connector", "config", "fields"),
    [
        ("numbers", {"rows": 1}, []),
        ("numbers", {"rows": "many", "row": 1}, ["connection_details.config.rows", "connection_details.config.row"]),
        ("letters", {}, ["connection_details.connector"]),
    ],
)
def test_configs(connector: str, config: dict[str, Any], fields: list[str]) -> None:
    connection = CustomConnection(connector=connector, config=config)
    assert [problem.field for problem in config_problems(connection, "connection_details")] == fields


@pytest.mark.parametrize(
    ("connector", "params", "fields"),
    [
        ("numbers", {}, []),
        ("numbers", {"fails_at": "x"}, ["p.params.fails_at"]),
        ("letters", {}, ["source_id"]),
    ],
)
def test_params(connector: str, params: dict[str, Any], fields: list[str]) -> None:
    extraction = CustomExtraction(object="numbers", params=params)
    problems = params_problems(CustomConnection(connector=connector), extraction, "p")
    assert [problem.field for problem in problems] == fields
