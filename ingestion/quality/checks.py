"""Quality checks as SQL: each compiles to one SELECT of how many rows were looked at and how many failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from ingestion.errors import SchemaMismatch
from ingestion.formats.types import duckdb_type, quoted
from ingestion.model.problems import Problem, shown
from ingestion.model.quality import CheckSpec
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sql import column_list, expression_problem


@dataclass(frozen=True)
class CompiledCheck:
    """`statement` answers (checked rows, failed rows) when run with `parameters`."""

    statement: str
    parameters: Sequence[Any] = ()


def problems_in(checks: Sequence[CheckSpec], prefix: str = "quality_params.checks") -> list[Problem]:
    """What can be known to be wrong before any schema is: expressions, patterns, bounds, names used twice."""
    problems: list[Problem] = []
    names: set[str] = set()
    for position, spec in enumerate(checks):
        where = f"{prefix}.{position}"
        if spec.expression is not None and (found := expression_problem(spec.expression)):
            problems.append(Problem(f"{where}.expression", found))
        if spec.pattern is not None and (found := _pattern_problem(spec.pattern)):
            problems.append(Problem(f"{where}.pattern", found))
        if spec.check == "row_count":
            problems += [
                Problem(f"{where}.{bound}", f"a row count is a number, not {shown(value)}")
                for bound, value in (("min", spec.min), ("max", spec.max))
                if isinstance(value, str)
            ]
        if spec.title in names:
            problems.append(Problem(where, f"there are two checks named {spec.title!r}; give one another name"))
        names.add(spec.title)
    return problems


def _pattern_problem(pattern: str) -> str | None:
    try:
        with duckdb.connect() as connection:
            connection.execute("SELECT regexp_matches('', ?)", [pattern]).fetchone()
    except duckdb.Error as error:
        return f"{shown(pattern)} is not a regular expression: {error}"
    return None


def compile_check(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    """The SQL of `spec` over `relation`. Raises SchemaMismatch for a column that is not there."""
    return _COMPILERS[spec.check](spec, relation, schema)


def _not_null(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    return _rows_failing(f"{quoted(field.name)} IS NULL", relation)


def _unique(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    fields = [_column(spec, name, schema) for name in spec.columns or (spec.column,)]
    names = column_list(field.name for field in fields)
    has_all = " AND ".join(f"{quoted(field.name)} IS NOT NULL" for field in fields)
    return CompiledCheck(
        f"SELECT (SELECT count(*) FROM {relation}), coalesce(sum(copies), 0) FROM "
        f"(SELECT count(*) AS copies FROM {relation} WHERE {has_all} GROUP BY {names} HAVING count(*) > 1)"
    )


def _accepted_values(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    values = spec.values or ()
    # No value at all accepts nothing; NULL passes, not_null is a check of its own.
    accepted = ", ".join(f"CAST(? AS {duckdb_type(field)})" for _ in values) or "NULL"
    failing = f"{quoted(field.name)} IS NOT NULL AND coalesce({quoted(field.name)} NOT IN ({accepted}), true)"
    return _rows_failing(failing, relation, [_as_parameter(value) for value in values])


def _range(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    failing, parameters = [], []
    for bound, operator in ((spec.min, "<"), (spec.max, ">")):
        if bound is not None:
            # A number is compared as it is: cast to the column's type, 0.5 would become 1.
            mark = f"CAST(? AS {duckdb_type(field)})" if isinstance(bound, str) else "?"
            failing.append(f"{quoted(field.name)} {operator} {mark}")
            parameters.append(bound)
    return _rows_failing(" OR ".join(failing), relation, parameters)


def _regex(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    failing = f"NOT regexp_matches(CAST({quoted(field.name)} AS VARCHAR), ?)"
    return _rows_failing(failing, relation, [spec.pattern])


def _row_count(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    outside = [
        f"count(*) {operator} {_as_number(spec, bound)}"
        for bound, operator in ((spec.min, "<"), (spec.max, ">"))
        if bound is not None
    ]
    return CompiledCheck(
        f"SELECT count(*), CASE WHEN {' OR '.join(outside)} THEN greatest(count(*), 1) ELSE 0 END FROM {relation}"
    )


def _expression(spec: CheckSpec, relation: str, schema: TableSchema) -> CompiledCheck:
    text = spec.expression or ""
    problem = expression_problem(text)
    if problem is not None:
        raise SchemaMismatch(f"the check {spec.title}: {problem}", check=spec.title)
    return _rows_failing(f"NOT CAST((\n{text}\n) AS BOOLEAN)", relation)


_COMPILERS: Mapping[str, Callable[[CheckSpec, str, TableSchema], CompiledCheck]] = {
    "not_null": _not_null,
    "unique": _unique,
    "accepted_values": _accepted_values,
    "range": _range,
    "regex": _regex,
    "row_count": _row_count,
    "expression": _expression,
}


def _rows_failing(condition: str, relation: str, parameters: Sequence[Any] = ()) -> CompiledCheck:
    return CompiledCheck(f"SELECT count(*), count(*) FILTER (WHERE {condition}) FROM {relation}", parameters)


def _column(spec: CheckSpec, name: str | None, schema: TableSchema) -> SchemaField:
    field = schema.get(name or "")
    if field is None:
        raise SchemaMismatch(
            f"the check {spec.title} names the column {name!r}, which is not among {', '.join(schema.names)}",
            check=spec.title,
            column=name,
        )
    if spec.check in ("accepted_values", "range") and (
        field.mode is FieldMode.REPEATED or field.type is FieldType.RECORD
    ):
        raise SchemaMismatch(f"the check {spec.title} needs a column of single values, not {field.name}")
    return field


def _as_parameter(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _as_number(spec: CheckSpec, bound: float | str) -> str:
    try:
        return repr(float(bound))
    except ValueError:
        raise SchemaMismatch(f"the check {spec.title}: a row count is a number, not {shown(bound)}") from None
