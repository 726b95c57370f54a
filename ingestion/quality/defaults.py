"""Checks every load gets without asking, derived from what is known about its columns."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.model.quality import CheckSpec, Severity
from ingestion.model.schema import FieldMode, TableSchema


def default_checks(schema: TableSchema, merge_key: Sequence[str], expected_rows: int) -> list[CheckSpec]:
    """Row count staged as expected, values in REQUIRED columns, and one row per key for a merge.

    The merge settles repeated and null keys itself, so those are reported and do not stop it.
    """
    in_key = {name.lower() for name in merge_key}
    checks = [CheckSpec(check="row_count", min=expected_rows, max=expected_rows, name="row_count_reconciles")]
    checks += [
        CheckSpec(
            check="not_null",
            column=field.name,
            severity=Severity.WARN if field.name.lower() in in_key else Severity.ERROR,
        )
        for field in schema.fields
        if field.mode is FieldMode.REQUIRED
    ]
    if merge_key:
        checks.append(CheckSpec(check="unique", columns=tuple(merge_key), severity=Severity.WARN))
    return checks


def with_defaults(declared: Sequence[CheckSpec], defaults: Sequence[CheckSpec]) -> list[CheckSpec]:
    """Defaults first, less those that a declared check of the same name replaces."""
    names = {spec.title for spec in declared}
    return [spec for spec in defaults if spec.title not in names] + list(declared)
