"""Quality checks on a staging table, all in one query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.formats.bigquery_types import column_type, literal, quoted
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.model.schema import TableSchema
from ingestion.quality.checks import compile_check
from ingestion.quality.dialect import Dialect
from ingestion.quality.runner import check_result
from ingestion.warehouses.bigquery.session import Session

_QUOTED_TEXT = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)


def expression(text: str) -> str:
    """An expression in DuckDB's SQL with its names and text literals written as GoogleSQL does.

    "name" would be a text there, and a backslash would mean something. Functions are left as they are:
    one that BigQuery does not know is refused by it.
    """
    return _QUOTED_TEXT.sub(lambda match: _rewritten(match[0]), text)


def _rewritten(token: str) -> str:
    if token.startswith(("--", "/*")):
        return " "
    if token.startswith('"'):
        return quoted(token[1:-1].replace('""', '"'))
    return literal(token[1:-1].replace("''", "'"))


def _dialect(number: int) -> Dialect:
    return Dialect(
        quoted=quoted,
        type_of=column_type,
        mark=lambda position: f"@c{number}_{position}",
        count_if=lambda condition: f"COUNTIF({condition})",
        expression=expression,
        has_match="REGEXP_CONTAINS",
        text_type="STRING",
        boolean_type="BOOL",
    )


def run_checks(session: Session, relation: str, schema: TableSchema, checks: Sequence[CheckSpec]) -> list[CheckResult]:
    """The result of every check, in order. Raises SchemaMismatch for one that does not fit the columns."""
    statements: list[str] = []
    parameters: list[dict[str, Any]] = []
    for number, spec in enumerate(checks):
        compiled = compile_check(spec, relation, schema, _dialect(number))
        statements.append(f"SELECT {number} AS place, checked, failed FROM ({compiled.statement})")
        parameters.append({f"c{number}_{place}": value for place, value in enumerate(compiled.parameters)})
    if not statements:
        return []
    given = {name: value for each in parameters for name, value in each.items()}
    try:
        rows, _ = session.query(" UNION ALL ".join(statements), given)
    except TargetFailed as error:
        _blame(session, checks, statements, parameters, schema)
        raise error
    found = {int(place): (int(checked), int(failed)) for place, checked, failed in rows}
    return [check_result(spec, *found[number]) for number, spec in enumerate(checks)]


def _blame(
    session: Session,
    checks: Sequence[CheckSpec],
    statements: Sequence[str],
    parameters: Sequence[dict[str, Any]],
    schema: TableSchema,
) -> None:
    """Raise SchemaMismatch for the first check that BigQuery refuses alone."""
    for spec, statement, given in zip(checks, statements, parameters, strict=True):
        try:
            session.query(statement, given)
        except TargetFailed as error:
            raise SchemaMismatch(
                f"the check {spec.title} does not fit the rows of {', '.join(schema.names)}: {error.message}",
                check=spec.title,
            ) from error
