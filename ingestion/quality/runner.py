"""Running checks on a staging table."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingestion.errors import SchemaMismatch
from ingestion.model.quality import CheckResult, CheckSpec
from ingestion.model.schema import TableSchema
from ingestion.quality.checks import compile_check

_ROUNDING = 1e-9
_NOT_FITTING = (
    duckdb.BinderException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
)


def run_checks(
    connection: duckdb.DuckDBPyConnection, relation: str, schema: TableSchema, checks: Sequence[CheckSpec]
) -> list[CheckResult]:
    """The result of every check, in order. Raises SchemaMismatch for one that does not fit the columns."""
    return [_run(connection, relation, schema, spec) for spec in checks]


def _run(connection: duckdb.DuckDBPyConnection, relation: str, schema: TableSchema, spec: CheckSpec) -> CheckResult:
    compiled = compile_check(spec, relation, schema)
    try:
        row = connection.execute(compiled.statement, list(compiled.parameters)).fetchone()
    except _NOT_FITTING as error:
        reason = str(error).splitlines()[0]
        raise SchemaMismatch(
            f"the check {spec.title} does not fit the rows of {', '.join(schema.names)}: {reason}", check=spec.title
        ) from error
    return check_result(spec, int(row[0]), int(row[1])) if row else check_result(spec, 0, 0)


def check_result(spec: CheckSpec, checked: int, failed: int) -> CheckResult:
    """What `failed` of `checked` rows mean for the check."""
    passed = failed == 0 if spec.check == "row_count" else failed <= checked * (1 - spec.mostly) + _ROUNDING
    return CheckResult(
        name=spec.title,
        check=spec.check,
        severity=spec.severity,
        passed=passed,
        checked_rows=checked,
        failed_rows=failed,
        message=_message(spec, checked, failed),
    )


def _message(spec: CheckSpec, checked: int, failed: int) -> str:
    if spec.check == "row_count":
        low = "any" if spec.min is None else f"{spec.min:g}" if isinstance(spec.min, float) else spec.min
        high = "any" if spec.max is None else f"{spec.max:g}" if isinstance(spec.max, float) else spec.max
        return f"{checked} rows, expected from {low} to {high}" if failed else f"{checked} rows"
    if failed == 0:
        return f"all of {checked} rows pass"
    allowed = f", at least {spec.mostly:.4%} have to pass" if spec.mostly < 1 else ""
    return f"{failed} of {checked} rows fail{allowed}"
