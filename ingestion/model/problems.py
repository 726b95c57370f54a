"""What is wrong with given data, one problem per fact, in words that name field, value and choices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ingestion.model.references import names_a_secret

_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """`field` is a dotted path into the given data ("" for the data as a whole)."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def join_problems(problems: Iterable[Problem]) -> str:
    """All problems in one message, for people."""
    return "; ".join(str(problem) for problem in problems)


def shown(value: Any) -> str:
    """`value` as an error message quotes it: short, and on one line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def known_values(values: Iterable[str]) -> str:
    """The choices a field has, for an error message."""
    return ", ".join(values)


def problems_of(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[Problem]:
    """Pydantic's findings about data meant for `model`, as problems. `prefix` is put before each field."""
    return [_problem(found, model, prefix) for found in error.errors(include_url=False)]


def _problem(found: Any, model: type[BaseModel], prefix: str) -> Problem:
    location: tuple[str | int, ...] = found["loc"]
    field = ".".join([prefix, *map(str, location)] if prefix else map(str, location))
    kind, given = found["type"], found.get("input")
    if kind == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        known = known_values(part.alias or name for name, part in owner.model_fields.items()) if owner else ""
        return Problem(field, f"unknown field; known fields are {known}" if known else "unknown field")
    if kind == "missing":
        return Problem(field, "required field is missing")
    if kind in ("enum", "literal_error"):
        return Problem(field, f"{shown(given)} is not one of {found['ctx']['expected'].replace(' or ', ', ')}")
    message = found["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if kind != "value_error" else message
    if kind == "value_error":
        return Problem(field, message)
    if names_a_secret(str(location[-1]) if location else ""):
        return Problem(field, message)  # The value may be the secret itself.
    return Problem(field, f"{message}, not {shown(given)}")


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that describes the part of `model` at `path`, when there is exactly one."""
    current: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            continue
        if current is None or step not in current.model_fields:
            return None
        current = _model_in(current.model_fields[step].annotation)
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None
