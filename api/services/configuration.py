"""Whether a pipeline's configuration can work on its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.wire.checking import examined
from ingestion.errors import InvalidConfiguration
from ingestion.model.connections import CustomConnection
from ingestion.model.extraction import EXTRACTION_MODELS, CustomExtraction
from ingestion.model.pipeline import PipelineConfiguration
from ingestion.model.problems import Problem
from ingestion.model.source import Source
from ingestion.quality import problems_in as quality_problems
from ingestion.sources.custom_problems import params_problems
from ingestion.steps import load_problems_in
from ingestion.steps import problems_in as transformation_problems

_EXTRACTION = "configuration.extraction_params"


def check_configuration(configuration: Mapping[str, Any], source: Source) -> None:
    """Raises InvalidConfiguration with every problem."""
    problems = _problems(configuration, source)
    if problems:
        raise InvalidConfiguration(problems)


def _problems(configuration: Mapping[str, Any], source: Source) -> list[Problem]:
    model, problems = examined(PipelineConfiguration, configuration, "configuration")
    given = configuration.get("extraction_params") or {}
    extraction = None
    if isinstance(given, dict):
        extraction, found = examined(EXTRACTION_MODELS[source.source_type], given, _EXTRACTION)
        problems += found
    if extraction is not None:
        problems += extraction.problems(source.connection(), _EXTRACTION)
        connection = source.connection()
        if isinstance(extraction, CustomExtraction) and isinstance(connection, CustomConnection):
            problems += params_problems(connection, extraction, _EXTRACTION)
    if model is None:
        return problems
    if model.transformation_params is not None:
        problems += transformation_problems(model.transformation_params, "configuration.transformation_params")
    if model.quality_params is not None:
        problems += quality_problems(model.quality_params.checks, "configuration.quality_params.checks")
    if extraction is not None:
        problems += load_problems_in(model, extraction)
    return problems
