"""Holding data against a model: strictly, and with every problem named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from ingestion.errors import InvalidRequest
from ingestion.model.problems import Problem, known_values, problems_of, shown

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], data: Any) -> Model:
    """`data` as a model. Raises InvalidRequest with every problem."""
    found, problems = examined(model, data)
    if found is None:
        raise InvalidRequest(problems)
    return found


def examined(model: type[Model], data: Any, prefix: str = "") -> tuple[Model | None, list[Problem]]:
    """`data` as a model, or what is wrong with it.

    JSON's own types count: "5" is no number and 1 no boolean, or a client would read back something else than
    what the service made of it.
    """
    try:
        return model.model_validate_json(to_json(data), strict=True), []
    except ValidationError as error:
        return None, problems_of(error, model, prefix)


def read_only_problems(
    body: Mapping[str, Any], shown_now: Mapping[str, Any], writable: type[BaseModel]
) -> list[Problem]:
    """What is wrong with the fields of an update that are not the client's to change (wire decision 12).

    They may be there with their present values: reading an entity, changing one field and putting it back works.
    """
    problems = []
    for name, value in body.items():
        if name in writable.model_fields:
            continue
        if name not in shown_now:
            known = known_values(writable.model_fields)
            problems.append(Problem(name, f"unknown field; known fields are {known}"))
        elif value != shown_now[name]:
            problems.append(Problem(name, f"is read-only and has the value {shown(shown_now[name])}"))
    return problems
