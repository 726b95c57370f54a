"""Source columns and what a transformation calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingestion.errors import SchemaMismatch
from ingestion.model.pipeline import TransformationParams
from ingestion.model.schema import TableSchema


def new_names(params: TransformationParams, source: TableSchema) -> Mapping[str, str]:
    """Source column -> its name from here on. Raises SchemaMismatch for a mapping that does not fit."""
    mapped = {old.lower(): new for old, new in (params.column_mappings or {}).items()}
    unknown = [old for old in params.column_mappings or {} if source.get(old) is None]
    if unknown:
        raise missing_columns("column_mappings", unknown, source)
    names = {column.name: mapped.get(column.name.lower(), column.name) for column in source.fields}
    taken: set[str] = set()
    for name in names.values():
        if name.lower() in taken:
            raise SchemaMismatch(f"column_mappings gives two columns the name {name}", column=name)
        taken.add(name.lower())
    return names


def missing_columns(part: str, names: Sequence[str], schema: TableSchema) -> SchemaMismatch:
    """The error for a part of the transformation that names columns which are not there."""
    return SchemaMismatch(
        f"{part} names {', '.join(names)}, but the columns are {', '.join(schema.names)}", columns=list(names)
    )
