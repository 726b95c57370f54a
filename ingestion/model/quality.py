"""Quality checks a pipeline declares, and their results."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ingestion.model.base import StrictModel


class Severity(StrEnum):
    """`error` stops the publish, `warn` is only reported."""

    ERROR = "error"
    WARN = "warn"


class CheckSpec(StrictModel):
    """One check on the staged rows. `mostly` is the fraction of rows that has to pass (1.0 = all).

    not_null, unique, accepted_values, range and regex look at `column` (`unique` at `columns` too);
    row_count compares the staged row count with `min` and `max`; expression is a boolean SQL expression
    that has to be true (null passes) on each row.
    """

    check: Literal["not_null", "unique", "accepted_values", "range", "regex", "row_count", "expression"]
    column: str | None = None
    columns: tuple[str, ...] | None = None
    values: tuple[Any, ...] | None = Field(default=None, min_length=1)
    min: float | str | None = None
    max: float | str | None = None
    pattern: str | None = None
    expression: str | None = None
    severity: Severity = Severity.ERROR
    mostly: float = Field(default=1.0, gt=0, le=1)
    name: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needs = {
            "not_null": ("column",),
            "unique": (),
            "accepted_values": ("column", "values"),
            "range": ("column",),
            "regex": ("column", "pattern"),
            "row_count": (),
            "expression": ("expression",),
        }[self.check]
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"the {self.check} check needs {' and '.join(missing)}")
        if self.check == "unique" and (self.column is None) == (self.columns is None):
            raise ValueError("the unique check needs either column or columns")
        if self.check in ("range", "row_count") and self.min is None and self.max is None:
            raise ValueError(f"the {self.check} check needs min or max")
        return self

    @property
    def title(self) -> str:
        """The check's name in results: the given one, or check and columns joined by `_`."""
        if self.name:
            return self.name
        return "_".join([self.check, *(self.columns or ([self.column] if self.column else []))])


class QualityParams(StrictModel):
    """`configuration.quality_params`."""

    checks: tuple[CheckSpec, ...] = ()


class CheckResult(StrictModel):
    """What a check found. `failed_rows` of `checked_rows` did not pass."""

    name: str
    check: str
    severity: Severity
    passed: bool
    checked_rows: int
    failed_rows: int
    message: str = ""
