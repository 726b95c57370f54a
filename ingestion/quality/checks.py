"""Quality checks as SQL: each compiles to one SELECT of how many rows were looked at and how many failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from ingestion.errors import SchemaMismatch
from ingestion.model.problems import Problem, shown
from ingestion.model.quality import CheckSpec
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.quality.dialect import DUCKDB, Dialect
from ingestion.sql import expression_problem


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


def compile_check(spec: CheckSpec, relation: str, schema: TableSchema, dialect: Dialect = DUCKDB) -> CompiledCheck:
    """The SQL of `spec` over `relation`. Raises SchemaMismatch for a column that is not there."""
    return _COMPILERS[spec.check](spec, relation, schema, dialect)


def _not_null(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    return _rows_failing(f"{sql.quoted(field.name)} IS NULL", relation, sql)


def _unique(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    names = [sql.quoted(_column(spec, name, schema).name) for name in spec.columns or (spec.column,)]
    has_all = " AND ".join(f"{name} IS NOT NULL" for name in names)
    return CompiledCheck(
        f"SELECT (SELECT count(*) FROM {relation}) AS checked, coalesce(sum(copies), 0) AS failed FROM "
        f"(SELECT count(*) AS copies FROM {relation} WHERE {has_all} GROUP BY {', '.join(names)} HAVING count(*) > 1)"
    )


def _accepted_values(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    values = [_as_parameter(value) for value in spec.values or ()]
    # No value at all accepts nothing; NULL passes, not_null is a check of its own.
    accepted = ", ".join(f"CAST({sql.mark(index)} AS {sql.type_of(field)})" for index in range(len(values))) or "NULL"
    name = sql.quoted(field.name)
    failing = f"{name} IS NOT NULL AND coalesce({name} NOT IN ({accepted}), true)"
    return _rows_failing(failing, relation, sql, values)


def _range(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    failing: list[str] = []
    parameters: list[Any] = []
    for bound, operator in ((spec.min, "<"), (spec.max, ">")):
        if bound is not None:
            mark = sql.mark(len(parameters))
            # A number is compared as it is: cast to the column's type, 0.5 would become 1.
            value = f"CAST({mark} AS {sql.type_of(field)})" if isinstance(bound, str) else mark
            failing.append(f"{sql.quoted(field.name)} {operator} {value}")
            parameters.append(bound)
    return _rows_failing(" OR ".join(failing), relation, sql, parameters)


def _regex(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    field = _column(spec, spec.column, schema)
    text = f"CAST({sql.quoted(field.name)} AS {sql.text_type})"
    return _rows_failing(f"NOT {sql.has_match}({text}, {sql.mark(0)})", relation, sql, [spec.pattern])


def _row_count(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    outside = [
        f"count(*) {operator} {_as_number(spec, bound)}"
        for bound, operator in ((spec.min, "<"), (spec.max, ">"))
        if bound is not None
    ]
    return CompiledCheck(
        f"SELECT count(*) AS checked, CASE WHEN {' OR '.join(outside)} THEN greatest(count(*), 1) ELSE 0 END AS failed "
        f"FROM {relation}"
    )


def _expression(spec: CheckSpec, relation: str, schema: TableSchema, sql: Dialect) -> CompiledCheck:
    text = spec.expression or ""
    problem = expression_problem(text)
    if problem is not None:
        raise SchemaMismatch(f"the check {spec.title}: {problem}", check=spec.title)
    return _rows_failing(f"NOT CAST((\n{sql.expression(text)}\n) AS {sql.boolean_type})", relation, sql)


_COMPILERS: Mapping[str, Callable[[CheckSpec, str, TableSchema, Dialect], CompiledCheck]] = {
    "not_null": _not_null,
    "unique": _unique,
    "accepted_values": _accepted_values,
    "range": _range,
    "regex": _regex,
    "row_count": _row_count,
    "expression": _expression,
}


def _rows_failing(condition: str, relation: str, sql: Dialect, parameters: Sequence[Any] = ()) -> CompiledCheck:
    failed = sql.count_if(condition)
    return CompiledCheck(f"SELECT count(*) AS checked, {failed} AS failed FROM {relation}", parameters)


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
