"""Our fields as BigQuery's columns and back. Each type has an equal there; what a column cannot be is refused.

STRING BYTES INTEGER FLOAT BOOLEAN DATE DATETIME TIME TIMESTAMP    the same
NUMERIC, BIGNUMERIC    with the declared precision and scale, else BigQuery's own (29.9 and 38.38 digits)
JSON                   staged as text, parsed when it is published; a number JSON cannot hold exactly is refused
RECORD, REPEATED       STRUCT, ARRAY: a NULL list is stored as an empty one, as BigQuery has no NULL lists
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ingestion.errors import SchemaMismatch
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema

if TYPE_CHECKING:
    from google.cloud import bigquery

_STANDARD: Mapping[FieldType, str] = {
    FieldType.INTEGER: "INT64",
    FieldType.FLOAT: "FLOAT64",
    FieldType.BOOLEAN: "BOOL",
}
_NAMES: Mapping[str, FieldType] = {
    **{kind.value: kind for kind in FieldType},
    "INT64": FieldType.INTEGER,
    "FLOAT64": FieldType.FLOAT,
    "BOOL": FieldType.BOOLEAN,
    "STRUCT": FieldType.RECORD,
    "DECIMAL": FieldType.NUMERIC,
    "BIGDECIMAL": FieldType.BIGNUMERIC,
}
_DIGITS = re.compile(r"(?P<name>[A-Z0-9]+)\s*\((?P<precision>\d+)(?:,\s*(?P<scale>\d+))?\)")
_DECIMALS = (FieldType.NUMERIC, FieldType.BIGNUMERIC)
# (digits before the point, digits after it)
_LIMITS: Mapping[FieldType, tuple[int, int]] = {FieldType.NUMERIC: (29, 9), FieldType.BIGNUMERIC: (38, 38)}
_BAD_NAME = re.compile(r"""[!"$()*,./;?@\[\\\]^`{}~\x00-\x1f]""")
_RESERVED = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier")


def quoted(name: str) -> str:
    """`name` as an identifier of GoogleSQL."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """`text` as a string literal of GoogleSQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def column_list(names: Sequence[str], prefix: str = "") -> str:
    """Quoted names joined by commas, each behind `prefix`."""
    return ", ".join(prefix + quoted(name) for name in names)


def require_columns(schema: TableSchema) -> None:
    """Raise SchemaMismatch, naming all of them, for columns that BigQuery cannot have."""
    problems = [problem for field in schema.fields for problem in _problems(field, field.name)]
    if problems:
        raise SchemaMismatch(f"BigQuery cannot have these columns: {'; '.join(problems)}", problems=problems)


def _problems(field: SchemaField, path: str) -> Sequence[str]:
    found = []
    if _BAD_NAME.search(field.name) or field.name.lower().startswith(_RESERVED):
        found.append(f"{path!r} is no name it takes; give another by transformation_params.column_mappings")
    if field.type in _DECIMALS and field.precision is not None:
        before, after = _LIMITS[field.type]
        scale = field.scale or 0
        if scale > after or field.precision - scale > before:
            found.append(f"{path} is {field.type}({field.precision}, {scale}), at most {before}.{after} digits fit")
    return [*found, *(problem for part in field.fields or () for problem in _problems(part, f"{path}.{part.name}"))]


def column_type(field: SchemaField) -> str:
    """The type in GoogleSQL, as a column or a cast has it."""
    if field.type is FieldType.RECORD:
        scalar = f"STRUCT<{', '.join(f'{quoted(part.name)} {column_type(part)}' for part in field.fields or ())}>"
    else:
        scalar = _STANDARD.get(field.type, field.type.value)
        if field.type in _DECIMALS and field.precision is not None:
            scalar = f"{scalar}({field.precision}, {field.scale or 0})"
    return f"ARRAY<{scalar}>" if field.mode is FieldMode.REPEATED else scalar


def staged_field(field: SchemaField) -> SchemaField:
    """The field in the staging table: JSON is text there, and everything may be NULL so that checks can tell."""
    return field.model_copy(
        update={
            "type": FieldType.STRING if field.type is FieldType.JSON else field.type,
            "mode": FieldMode.REPEATED if field.mode is FieldMode.REPEATED else FieldMode.NULLABLE,
            "fields": tuple(staged_field(part) for part in field.fields) if field.fields else field.fields,
        }
    )


def as_published(field: SchemaField, expression: str, depth: int = 0) -> str:
    """SQL for the published value of a staged `expression`: its JSON text parsed, exactly or not at all."""
    if not _has_json(field):
        return expression
    if field.mode is FieldMode.REPEATED:
        element, place = f"_ingestion_e{depth}", f"_ingestion_o{depth}"
        inner = as_published(field.model_copy(update={"mode": FieldMode.NULLABLE}), element, depth + 1)
        return f"ARRAY(SELECT {inner} FROM UNNEST({expression}) AS {element} WITH OFFSET AS {place} ORDER BY {place})"
    if field.type is FieldType.RECORD:
        parts = ", ".join(
            f"{as_published(part, f'{expression}.{quoted(part.name)}', depth)} AS {quoted(part.name)}"
            for part in field.fields or ()
        )
        return f"IF({expression} IS NULL, NULL, STRUCT({parts}))"
    return f"PARSE_JSON({expression}, wide_number_mode=>'exact')"


def _has_json(field: SchemaField) -> bool:
    return field.type is FieldType.JSON or any(_has_json(part) for part in field.fields or ())


def to_bigquery(fields: Sequence[SchemaField]) -> list[bigquery.SchemaField]:
    """The columns as the client takes them."""
    from google.cloud import bigquery

    return [bigquery.SchemaField.from_api_repr(_api_field(field)) for field in fields]


def _api_field(field: SchemaField) -> dict[str, Any]:
    column: dict[str, Any] = {"name": field.name, "type": field.type.value, "mode": field.mode.value}
    if field.description:
        column["description"] = field.description
    if field.type in _DECIMALS and field.precision is not None:
        column |= {"precision": str(field.precision), "scale": str(field.scale or 0)}
    if field.fields:
        column["fields"] = [_api_field(part) for part in field.fields]
    return column


def from_bigquery(table: str, columns: Sequence[bigquery.SchemaField]) -> TableSchema:
    """The columns of a table. Raises SchemaMismatch for types that no source here has, such as GEOGRAPHY."""
    return TableSchema(fields=tuple(_field(table, column) for column in columns))


def _field(table: str, column: bigquery.SchemaField) -> SchemaField:
    name, precision, scale = column.field_type.upper(), column.precision, column.scale
    if matched := _DIGITS.fullmatch(name):
        name = matched["name"]
        if name in ("NUMERIC", "BIGNUMERIC"):
            precision, scale = int(matched["precision"]), int(matched["scale"] or 0)
    kind = _NAMES.get(name)
    if kind is None:
        raise SchemaMismatch(
            f"the column {column.name} of {table} is {column.field_type}, a type that is not supported",
            column=column.name,
        )
    is_decimal = kind in _DECIMALS and precision is not None
    return SchemaField(
        name=column.name,
        type=kind,
        mode=FieldMode(column.mode or "NULLABLE"),
        description=column.description or None,
        precision=int(precision) if is_decimal else None,
        scale=int(scale or 0) if is_decimal else None,
        fields=tuple(_field(table, part) for part in column.fields) or None,
    )
