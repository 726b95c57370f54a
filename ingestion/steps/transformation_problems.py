"""What is wrong with `transformation_params`, as far as it shows before any schema is known."""

from __future__ import annotations

from collections.abc import Iterable

from ingestion.model.pipeline import TransformationParams
from ingestion.model.problems import Problem
from ingestion.sql import expression_problem, ordering_problem
from ingestion.steps.conversions import field_of

_RESERVED = "_ingestion"


def problems_in(params: TransformationParams, prefix: str = "transformation_params") -> list[Problem]:
    """What can be known to be wrong before any schema is, for the moment a pipeline is saved."""
    return [
        *_naming_problems(params, prefix),
        *_type_problems(params, prefix),
        *_expression_problems(params, prefix),
    ]


def _naming_problems(params: TransformationParams, prefix: str) -> Iterable[Problem]:
    seen: set[str] = set()
    for old, new in (params.column_mappings or {}).items():
        where = f"{prefix}.column_mappings.{old}"
        yield from _name_problems(new, where)
        if new.lower() in seen:
            yield Problem(where, f"two columns would be named {new!r} (case does not count)")
        seen.add(new.lower())
    for name in params.calculated_fields or {}:
        yield from _name_problems(name, f"{prefix}.calculated_fields.{name}")


def _name_problems(name: str, where: str) -> Iterable[Problem]:
    if not name.strip() or len(name) > 300:
        yield Problem(where, "a column name has 1 to 300 characters")
    elif name.lower().startswith(_RESERVED):
        yield Problem(where, f"names starting with {_RESERVED} belong to the service")


def _type_problems(params: TransformationParams, prefix: str) -> Iterable[Problem]:
    for column, type_name in (params.type_conversions or {}).items():
        try:
            field_of("column", type_name)
        except ValueError as error:
            yield Problem(f"{prefix}.type_conversions.{column}", str(error))


def _expression_problems(params: TransformationParams, prefix: str) -> Iterable[Problem]:
    for name, text in (params.calculated_fields or {}).items():
        if problem := expression_problem(text):
            yield Problem(f"{prefix}.calculated_fields.{name}", problem)
    if params.filter is not None and (problem := expression_problem(params.filter)):
        yield Problem(f"{prefix}.filter", problem)
    order = params.deduplicate.order_by if params.deduplicate else None
    if order is not None and (problem := ordering_problem(order)):
        yield Problem(f"{prefix}.deduplicate.order_by", problem)
