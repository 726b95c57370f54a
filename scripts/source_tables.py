"""Write docs/sources/README.md: what each source type reads and takes, from the models that check it.

python -m scripts.source_tables
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingestion.model.connections import CONNECTION_MODELS
from ingestion.model.extraction import EXTRACTION_MODELS, ExtractionParams
from ingestion.model.source_type import SourceType

PAGE = Path(__file__).parent.parent / "docs" / "sources" / "README.md"
_PAGES = {
    SourceType.GCS: "[files in a bucket](gcs.md), as [an identity at Google](../google.md)",
    SourceType.CLOUD_SQL: "[PostgreSQL](postgresql.md), [MySQL and MariaDB](mysql.md), "
    "and [instances of Cloud SQL by name](cloud_sql.md)",
    SourceType.BIGQUERY: "[tables and queries of BigQuery](bigquery.md)",
    SourceType.API: "[REST and GraphQL](api.md)",
    SourceType.SFTP: "[files on an SSH server](sftp.md)",
    SourceType.CUSTOM: "[connectors of your own](custom.md)",
}
_INTRODUCTION = """\
# Sources

What a source of each type takes, from the models that check it: `python -m scripts.source_tables` writes this page.
What is refused here is answered with a 400 that names the field and the known ones. The page of each type says what
the fields mean, how values are read, and what is refused while reading.
"""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, "## What can be asked of each type\n", *_matrix()]
    for source_type in SourceType:
        parts += [f"\n## {source_type}\n", f"See {_PAGES[source_type]}.\n"]
        parts += ["`connection_details`:\n", *_fields(CONNECTION_MODELS[source_type])]
        parts += ["\n`extraction_params`:\n", *_fields(EXTRACTION_MODELS[source_type])]
    return "\n".join(parts) + "\n"


def _matrix() -> Iterator[str]:
    yield f"| `extraction_params` | {' | '.join(SourceType)} |"
    yield f"|---|{'---|' * len(SourceType)}"
    taken = {kind: _named(EXTRACTION_MODELS[kind]) for kind in SourceType}
    for name in dict.fromkeys(name for names in taken.values() for name in names):
        marks = ("yes" if name in taken[kind] else "refused" for kind in SourceType)
        yield f"| `{name}` | {' | '.join(marks)} |"


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield "| field | value |"
    yield "|---|---|"
    for name, field in _named(model).items():
        needed = " (required)" if field.is_required() else ""
        yield f"| `{name}`{needed} | {_value(field.annotation)} |"


def _named(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    refused = model.refused if issubclass(model, ExtractionParams) else {}
    return {field.alias or name: field for name, field in model.model_fields.items() if name not in refused}


def _value(annotation: Any) -> str:
    """What a client writes, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(arguments[0])
    if origin in (Union, types.UnionType):
        kinds = dict.fromkeys(_value(argument) for argument in arguments if argument is not type(None))
        return " or ".join(kinds)
    if origin is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return f"list of {_value(arguments[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {_value(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object of " + ", ".join(f"`{name}`" for name in _named(annotation))
    return {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}.get(
        annotation, "text"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
