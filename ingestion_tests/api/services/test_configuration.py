"""Whether a configuration can work on its source."""

from __future__ import annotations

from typing import Any

import pytest

from api.services.configuration import check_configuration
from ingestion.errors import InvalidConfiguration
from ingestion.model.source import Source, SourceType
from ingestion_tests.store.samples import a_source

MERGE = {"load_params": {"write_disposition": "MERGE"}}


def a_database(**details: Any) -> Source:
    return a_source(source_type=SourceType.CLOUD_SQL, connection_details={"host": "h", "database": "d"} | details)


def fields(configuration: dict[str, Any], source: Source) -> list[str]:
    """What has a problem; nothing when the configuration is accepted."""
    try:
        check_configuration(configuration, source)
    except InvalidConfiguration as error:
        return [problem.field for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("configuration", "source"),
    [
        ({}, a_source()),
        ({"extraction_params": {"file_pattern": "*.csv"}}, a_source(connection_details={"bucket_name": "b"})),
        ({"extraction_params": {"table": "t"}, **MERGE}, a_database()),
        ({"extraction_params": {"table": "t"}, **MERGE}, a_database(engine="MYSQL")),
        ({"extraction_params": {"query": "SELECT 1", "primary_key": "id"}, **MERGE}, a_database()),
        ({"load_params": MERGE["load_params"] | {"merge_key": "id"}}, a_source()),
    ],
)
def test_what_can_work(configuration: dict[str, Any], source: Source) -> None:
    assert fields(configuration, source) == []


@pytest.mark.parametrize(
    ("configuration", "source", "found"),
    [
        ({}, a_source(connection_details={"bucket_name": "b"}), ["configuration.extraction_params.file_pattern"]),
        ({}, a_database(), ["configuration.extraction_params"]),
        ({"extraction_params": {"table": "t", "query": "q"}}, a_database(), ["configuration.extraction_params"]),
        (MERGE, a_source(), ["configuration.load_params.merge_key"]),
        (
            {"extraction_params": {"query": "SELECT 1"}, **MERGE},
            a_database(),
            ["configuration.load_params.merge_key"],
        ),
        (
            {"schedule": "never", "extraction_params": {"x": 1}, "y": 2},
            a_source(),
            ["configuration.schedule", "configuration.y", "configuration.extraction_params.x"],
        ),
    ],
)
def test_every_problem_is_named(configuration: dict[str, Any], source: Source, found: list[str]) -> None:
    assert fields(configuration, source) == found
