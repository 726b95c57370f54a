"""What is read from BigQuery: a table or a query, and which of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from ingestion.errors import ObjectMissing, QueryFailed, SchemaMismatch
from ingestion.formats.bigquery_types import column_type, from_bigquery, quoted
from ingestion.formats.types import type_label
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction
from ingestion.model.extraction.databases import NullCursor
from ingestion.model.macros import Interval, bind
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sources.base import Cursor
from ingestion.sources.bigquery_session import Session, failures, patience

if TYPE_CHECKING:
    from google.cloud import bigquery

_TIMES = {FieldType.DATE: "DATE", FieldType.DATETIME: "DATETIME", FieldType.TIMESTAMP: "TIMESTAMP"}
_NUMBERS = (FieldType.INTEGER, FieldType.FLOAT, FieldType.NUMERIC, FieldType.BIGNUMERIC)
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Relation:
    """A table or query as FROM takes it, with the values of its `?`. `table` is set for a table that stores rows."""

    label: str
    source: str
    marks: Sequence[str]
    schema: TableSchema
    table: bigquery.TableReference | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """`conditions` with the values of its `?`; None for all rows. `read_from`, where it lies below the cursor."""

    conditions: str | None = None
    marks: Sequence[str] = ()
    cursor: Cursor | None = None
    read_from: Cursor | None = None


def table_relation(opened: Session, name: str) -> Relation:
    """The table, view or materialized view `table`, `dataset.table` or `project.dataset.table`."""
    from google.cloud import bigquery

    connection = opened.connection
    parts = [connection.project_id, connection.dataset, *name.split(".")][-3:] if "." not in name else name.split(".")
    if len(parts) == 2:
        parts = [connection.project_id, *parts]
    if len(parts) != 3 or not all(parts):
        raise ObjectMissing(f"'{name}' is no name of a table: table, dataset.table or project.dataset.table is")
    reference = bigquery.DatasetReference(parts[0], parts[1]).table(parts[2])
    with failures(f"The table '{name}'"):
        table = opened.client.get_table(reference, **patience())
    constraints = table.table_constraints
    key = constraints.primary_key if constraints else None
    return Relation(
        f"The table '{name}'",
        ".".join(quoted(part) for part in parts),
        (),
        from_bigquery(name, table.schema),
        reference if table.table_type == "TABLE" else None,
        tuple(key.columns) if key else (),
    )


def query_relation(opened: Session, query: str, interval: Interval) -> Relation:
    """A client's query, its macros bound as parameters. Raises QueryFailed unless it is one SELECT."""
    text, marks = bind(query, interval, "?")
    text = text.strip().removesuffix(";")
    kind = opened.statement_type(text, marks)
    if kind != "SELECT":
        raise QueryFailed(f"The query must be one SELECT (or WITH ... SELECT); BigQuery says it is {kind}")
    # On a line of its own, so that a comment at the query's end does not swallow the bracket.
    source = f"(\n{text}\n)"
    job = opened.query(f"SELECT * FROM {source} AS source LIMIT 0", marks)
    with failures("The query"):
        columns = job.result(job_retry=None, **patience()).schema
    return Relation("The query", source, marks, from_bigquery("the query", columns))


def window_of(
    opened: Session,
    relation: Relation,
    params: DatabaseExtraction,
    cursor: Cursor | None,
    execution: ExecutionParams,
    maximum_bytes: int | None,
) -> Window:
    """The rows an execution reads.

    With dates: those of the days, both included, and no cursor moves. With a key: from the cursor (less the
    look-back), included, to the greatest key now, included. Rows whose key is NULL or NaN have no place in that
    order, `null_cursor` says what becomes of them.
    """
    if params.incremental_key is None:
        return Window()
    field = _key(relation, params.incremental_key)
    if execution.start_date is not None or execution.end_date is not None:
        return _days(field, execution.start_date, execution.end_date)
    name = f"source.{quoted(field.name)}"
    has_place = f"{name} IS NOT NULL" + (f" AND NOT IS_NAN({name})" if field.type is FieldType.FLOAT else "")
    _check_apart(opened, relation, field, has_place, params.null_cursor_policy, maximum_bytes)
    kind = column_type(field)
    at_least = [cursor.value] if cursor else []
    above = f" AND {name} >= CAST(? AS {kind})" if cursor else ""
    found = opened.value(
        f"SELECT CAST(MAX({name}) AS STRING) FROM {relation.source} AS source WHERE {has_place}{above}",
        [*relation.marks, *at_least],
        maximum_bytes,
    )
    upper = str(found) if found is not None else cursor.value if cursor else None
    apart = f" OR NOT ({has_place})" if params.null_cursor_policy is NullCursor.READ else ""
    if upper is None:
        return Window(f"FALSE{apart}", (), None)
    lower, read_from = cursor.value if cursor else None, None
    if cursor is not None and params.lookback is not None:
        lower = _below(opened, field, cursor.value, params)
        read_from = Cursor(params.incremental_key, lower)
    low = f" AND {name} >= CAST(? AS {kind})" if lower is not None else ""
    marks = [*([lower] if lower is not None else []), upper]
    conditions = f"(({has_place}{low} AND {name} <= CAST(? AS {kind})){apart})"
    return Window(conditions, marks, Cursor(params.incremental_key, upper), read_from)


def _key(relation: Relation, name: str) -> SchemaField:
    field = relation.schema.get(name)
    if field is None:
        raise ObjectMissing(
            f"{relation.label} has no column '{name}'; it has {', '.join(relation.schema.names)}", column=name
        )
    if field.mode is FieldMode.REPEATED or field.type not in (*_NUMBERS, *_TIMES, FieldType.STRING):
        raise SchemaMismatch(f"'{name}' is {type_label(field)}, whose values have no order", column=name)
    return field


def _check_apart(
    opened: Session,
    relation: Relation,
    field: SchemaField,
    has_place: str,
    policy: NullCursor,
    maximum_bytes: int | None,
) -> None:
    if policy is not NullCursor.FAIL:
        return
    statement = f"SELECT COUNT(*) FROM {relation.source} AS source WHERE NOT ({has_place})"
    found = opened.value(statement, relation.marks, maximum_bytes)
    if found:
        raise SchemaMismatch(
            f"{relation.label} has {found} rows whose '{field.name}' is NULL (or NaN), and null_cursor is 'fail'; "
            "repair them, or let them be read or skipped",
            column=field.name,
        )


def _below(opened: Session, field: SchemaField, value: str, params: DatabaseExtraction) -> str:
    """The key's value that lies so far below: the server knows its own calendar. Days are not divided."""
    amount, kind = params.lookback_amount, column_type(field)
    if field.type is FieldType.DATE:
        below = f"DATE_SUB(CAST(? AS DATE), INTERVAL {-(-amount // _DAY_SECONDS)} DAY)"
    elif field.type in _TIMES:
        below = f"{kind}_SUB(CAST(? AS {kind}), INTERVAL {amount} SECOND)"
    elif field.type in _NUMBERS and not params.lookback_is_time:
        below = f"CAST(? AS {kind}) - {amount}"
    else:
        what = "a time" if params.lookback_is_time else "an amount"
        raise QueryFailed(f"lookback is {what}, which cannot be taken from '{field.name}': it is {type_label(field)}")
    return str(opened.value(f"SELECT CAST({below} AS STRING)", [value]))


def _days(field: SchemaField, start: date | None, end: date | None) -> Window:
    if field.type not in _TIMES:
        raise QueryFailed(
            f"start_date and end_date need an incremental_key that is a date or timestamp, "
            f"but '{field.name}' is {type_label(field)}"
        )
    name, kind = f"source.{quoted(field.name)}", column_type(field)
    bounds = [(">=", start.isoformat())] if start else []
    if end == date.max:
        pass  # There is no day after: BigQuery's calendar ends there too.
    elif end:
        bounds.append(("<", (end + timedelta(days=1)).isoformat()))
    conditions = " AND ".join(f"{name} {operator} CAST(? AS {kind})" for operator, _ in bounds)
    return Window(conditions or f"{name} IS NOT NULL", [day for _, day in bounds])
