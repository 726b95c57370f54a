"""The schema of a DuckDB relation, nested columns included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from ingestion.formats.types import field_of_duckdb, numeric_field
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema

_WHOLE_NUMBERS: Mapping[str, int] = {"UBIGINT": 20, "HUGEINT": 38, "UHUGEINT": 38}


def schema_from_duckdb(rows: Iterable[Sequence[Any]]) -> TableSchema:
    """The schema told by the rows of DuckDB's DESCRIBE (name, type, nullable, ...).

    Raises ValueError naming a column whose type has no BigQuery counterpart.
    """
    return TableSchema(fields=tuple(field_from_duckdb(str(row[0]), str(row[1])) for row in rows))


def field_from_duckdb(name: str, type_name: str) -> SchemaField:
    """One column of the DuckDB type of that name. Raises ValueError when it has no BigQuery counterpart."""
    if type_name == "JSON":
        return SchemaField(name=name, type=FieldType.JSON)
    return _field(name, duckdb.type(type_name), FieldMode.NULLABLE)


def _field(name: str, kind: DuckDBPyType, mode: FieldMode) -> SchemaField:
    if str(kind) != "JSON":
        if kind.id in ("list", "array"):
            return _repeated(name, kind, mode)
        if kind.id == "struct":
            members = tuple(_field(member, _kind(child), FieldMode.NULLABLE) for member, child in kind.children)
            return SchemaField(name=name, type=FieldType.RECORD, mode=mode, fields=members)
        if kind.id in ("map", "union"):
            raise ValueError(f"the column {name!r} has the type {kind}, which BigQuery does not have")
    if str(kind) in _WHOLE_NUMBERS:
        return numeric_field(name, _WHOLE_NUMBERS[str(kind)], 0, mode)
    return field_of_duckdb(name, str(kind), mode)


def _repeated(name: str, kind: DuckDBPyType, mode: FieldMode) -> SchemaField:
    if mode is FieldMode.REPEATED:
        raise ValueError(f"the column {name!r} is a list of lists, which BigQuery does not have")
    return _field(name, _kind(kind.children[0][1]), FieldMode.REPEATED)


def _kind(child: object) -> DuckDBPyType:
    """A nested type's own type; DuckDB's stubs also allow the numbers and names that other types have there."""
    if not isinstance(child, DuckDBPyType):
        raise TypeError(f"{child!r} is not a DuckDB type")
    return child
