"""Whether a pipeline's configuration can work on its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.services.sources import unreadable
from api.wire.checking import examined
from ingestion.errors import InvalidConfiguration
from ingestion.model.connections import CustomConnection
from ingestion.model.extraction import EXTRACTION_MODELS, CustomExtraction, ExtractionParams
from ingestion.model.load import WriteDisposition
from ingestion.model.pipeline import PipelineConfiguration
from ingestion.model.problems import Problem
from ingestion.model.source import Source
from ingestion.quality import problems_in as quality_problems
from ingestion.sources.custom_problems import params_problems
from ingestion.steps import problems_in as transformation_problems

_EXTRACTION = "configuration.extraction_params"


def check_configuration(configuration: Mapping[str, Any], source: Source) -> None:
    """Raises InvalidConfiguration with every problem."""
    if source.source_type not in EXTRACTION_MODELS:
        raise InvalidConfiguration([unreadable(source.source_type)])
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
        problems += _load_problems(model, extraction)
    return problems


def _load_problems(model: PipelineConfiguration, extraction: ExtractionParams) -> list[Problem]:
    load = model.load_params
    if load is None or load.write_disposition is not WriteDisposition.MERGE or load.merge_key is not None:
        return []
    if extraction.key_columns or extraction.may_know_keys:
        return []
    message = "is needed to MERGE: nothing else tells which rows are the same"
    return [Problem("configuration.load_params.merge_key", message)]
