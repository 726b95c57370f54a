"""convert_timestamps: which columns of text hold nothing but timestamps."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.formats.casting import DATETIME_FORM, INSTANT_FORM, cast, matches
from ingestion.formats.types import quoted
from ingestion.model.pipeline import TransformationParams
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.steps.column_names import new_names


def timestamp_candidates(params: TransformationParams, source: TableSchema, known: TableSchema | None) -> list[str]:
    """Source columns that convert_timestamps may turn into TIMESTAMP, if all their values allow it.

    A column the target has already keeps the target's type, so one day's values cannot change it.
    """
    if not params.convert_timestamps:
        return []
    names = new_names(params, source)
    chosen = {name.lower() for name in params.type_conversions or {}}
    return [
        column.name
        for column in source.fields
        if column.type is FieldType.STRING
        and column.mode is not FieldMode.REPEATED
        and not chosen & {column.name.lower(), names[column.name].lower()}
        and (known is None or known.get(names[column.name]) is None)
    ]


def timestamp_probe(candidates: Sequence[str], relation: str) -> str:
    """A SELECT with one boolean per candidate: whether it has values and all of them are ISO 8601 timestamps."""
    as_timestamp = SchemaField(name="probe", type=FieldType.TIMESTAMP)
    tests = (
        f"coalesce(bool_and({_has_form(quoted(name))} AND ({cast(quoted(name), as_timestamp)}) IS NOT NULL) "
        f"FILTER (WHERE {quoted(name)} IS NOT NULL), false)"
        for name in candidates
    )
    return f"SELECT {', '.join(tests)} FROM {relation}"


def _has_form(text: str) -> str:
    """A day alone is not a timestamp: it has to come with a time."""
    in_form = f"{matches(f'trim({text})', INSTANT_FORM)} OR {matches(f'trim({text})', DATETIME_FORM)}"
    return f"({in_form}) AND contains({text}, ':')"
