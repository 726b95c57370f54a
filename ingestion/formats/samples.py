"""A few rows of staged files as JSON-ready data, for people to look at."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema


def sample_rows(files: Sequence[Path], schema: TableSchema, count: int) -> list[Mapping[str, Any]]:
    """The first `count` rows of the staged `files`, which have the columns of `schema`."""
    rows: list[Mapping[str, Any]] = []
    for path in files:
        if len(rows) >= count:
            break
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=max(count, 1)):
                wanted = batch.slice(0, count - len(rows))
                columns = {name: _values(wanted.column(name)) for name in schema.names}
                rows += [
                    _row({name: values[index] for name, values in columns.items()}, schema)
                    for index in range(wanted.num_rows)
                ]
                if len(rows) >= count:
                    break
    return rows


def _values(column: pa.Array) -> Sequence[Any]:
    """Python's values; text for dates beyond Python's calendar."""
    try:
        values: Sequence[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        values = column.cast(pa.string()).to_pylist()
    return values


def _row(row: Mapping[str, Any], schema: TableSchema) -> Mapping[str, Any]:
    return {field.name: json_ready(row[field.name], field) for field in schema.fields}


def json_ready(value: Any, field: SchemaField) -> Any:
    """A column's value for JSON: ISO 8601, base64, and numbers as text where a float would change them."""
    if value is None:
        return None
    if field.mode is FieldMode.REPEATED:
        element = field.model_copy(update={"mode": FieldMode.NULLABLE})
        return [json_ready(item, element) for item in value]
    if field.type is FieldType.RECORD:
        return {part.name: json_ready(value[part.name], part) for part in field.fields or ()}
    if field.type is FieldType.JSON:
        return json.loads(value, parse_float=lambda text: _scalar(Decimal(text)))
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
