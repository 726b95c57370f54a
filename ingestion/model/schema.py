"""Table schemas in BigQuery's terms, whatever the warehouse (wire decision 36)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from ingestion.model.base import StrictModel


class FieldType(StrEnum):
    """BigQuery's legacy type names, which the contract uses."""

    STRING = "STRING"
    BYTES = "BYTES"
    INTEGER = "INTEGER"
    FLOAT = "FLOAT"
    NUMERIC = "NUMERIC"
    BIGNUMERIC = "BIGNUMERIC"
    BOOLEAN = "BOOLEAN"
    TIMESTAMP = "TIMESTAMP"
    DATETIME = "DATETIME"
    DATE = "DATE"
    TIME = "TIME"
    JSON = "JSON"
    RECORD = "RECORD"


class FieldMode(StrEnum):
    """Whether a field may be null or repeats."""

    REQUIRED = "REQUIRED"
    NULLABLE = "NULLABLE"
    REPEATED = "REPEATED"


class SchemaField(StrictModel):
    """One column. `precision` and `scale` (decimal digits) apply to NUMERIC and BIGNUMERIC only."""

    name: str = Field(min_length=1, max_length=300)
    type: FieldType
    mode: FieldMode = FieldMode.NULLABLE
    description: str | None = None
    precision: int | None = Field(default=None, ge=1, le=76)
    scale: int | None = Field(default=None, ge=0, le=38)
    fields: tuple[SchemaField, ...] | None = None

    @model_validator(mode="after")
    def _record_has_fields(self) -> Self:
        if (self.type is FieldType.RECORD) != bool(self.fields):
            raise ValueError("RECORD needs fields, and only RECORD has them")
        return self

    def wire(self) -> dict[str, Any]:
        """As the schema endpoint shows it: name, type, mode and description always, the rest when there."""
        shown: dict[str, Any] = {
            "name": self.name,
            "type": self.type.value,
            "mode": self.mode.value,
            "description": self.description or "",
        }
        if self.precision is not None:
            shown["precision"] = self.precision
        if self.scale is not None:
            shown["scale"] = self.scale
        if self.fields:
            shown["fields"] = [field.wire() for field in self.fields]
        return shown


class TableSchema(StrictModel):
    """The columns of one table, in order; names are unique without regard to case."""

    fields: tuple[SchemaField, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: set[str] = set()
        for field in self.fields:
            if field.name.lower() in seen:
                raise ValueError(f"the column {field.name!r} is there twice (case does not count)")
            seen.add(field.name.lower())
        return self

    @property
    def names(self) -> Sequence[str]:
        """Column names in order."""
        return [field.name for field in self.fields]

    def get(self, name: str) -> SchemaField | None:
        """The column of that name without regard to case, or None."""
        return next((field for field in self.fields if field.name.lower() == name.lower()), None)
