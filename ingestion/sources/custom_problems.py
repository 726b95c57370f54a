"""What is wrong with the use of an installed connector, for the moment a source or pipeline is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ingestion.connectors import load_connector
from ingestion.errors import SourceNotSupported
from ingestion.model.connections import CustomConnection
from ingestion.model.extraction import CustomExtraction
from ingestion.model.problems import Problem, problems_of


def config_problems(connection: CustomConnection, prefix: str) -> Sequence[Problem]:
    """What is wrong with a source's connector and its config, with paths below `prefix`."""
    try:
        found = load_connector(connection.connector)
    except SourceNotSupported as error:
        return [Problem(f"{prefix}.connector", error.message)]
    return _problems(found.config_model, connection.config, f"{prefix}.config")


def params_problems(connection: CustomConnection, extraction: CustomExtraction, prefix: str) -> Sequence[Problem]:
    """What is wrong with a pipeline's params of its connector, with paths below `prefix`."""
    try:
        found = load_connector(connection.connector)
    except SourceNotSupported as error:
        return [Problem("source_id", error.message)]
    return _problems(found.params_model, extraction.params, f"{prefix}.params")


def _problems(model: type[BaseModel], given: dict[str, Any], prefix: str) -> list[Problem]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        return problems_of(error, model, prefix)
    return []
