"""The query that gives each staged row its verdict: NULL for rows that are written, else why not.

Values are compared as GoogleSQL compares them; whole rows by their JSON text, for floats, lists and documents
cannot be grouped by.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.errors import SchemaMismatch
from ingestion.formats.bigquery_types import as_published, column_type, quoted
from ingestion.formats.types import type_label
from ingestion.model.load import HistoryColumns, WriteDisposition
from ingestion.model.quarantine import RECORD_COLUMN
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.warehouses.base import PublishRequest

VERDICT = "_ingestion_verdict"
REPEATED = "REPEATED_KEY"
PRESENT = "ALREADY_PRESENT"
NULL_KEY = "NULL_KEY"
AMBIGUOUS_KEY = "AMBIGUOUS_KEY"
DELETED = "DELETED"
_NUMBERS = (FieldType.INTEGER, FieldType.FLOAT, FieldType.NUMERIC, FieldType.BIGNUMERIC)
_TIMES = (FieldType.DATE, FieldType.DATETIME, FieldType.TIMESTAMP)
_NO_KEY = (FieldType.JSON, FieldType.RECORD)


def judged(request: PublishRequest, staging: str, target: str, there: TableSchema | None) -> str:
    """A query of the staged rows as they are published, with their verdicts."""
    columns = _published(request.schema, there)
    if request.replay is not None:
        columns += f", s.{quoted(RECORD_COLUMN)} AS {quoted(RECORD_COLUMN)}"
    rows = f"(SELECT {columns} FROM {staging} AS s)"
    deleted = _deleted(request)
    if request.disposition.needs_key:
        return _by_key(request, rows, target, there, deleted)
    if request.disposition is WriteDisposition.WRITE_APPEND and request.skip_present and there is not None:
        return _not_present(request, rows, target, there, deleted)
    verdict = f"IF({deleted}, '{DELETED}', NULL)" if deleted else "CAST(NULL AS STRING)"
    return f"SELECT r.*, {verdict} AS {VERDICT} FROM {rows} AS r"


def _published(schema: TableSchema, there: TableSchema | None) -> str:
    """Each column in the type that the target has or will have."""
    columns = []
    for field in schema.fields:
        value = as_published(field, f"s.{quoted(field.name)}")
        present = there.get(field.name) if there else None
        if present is not None and column_type(present) != column_type(field):
            value = f"CAST({value} AS {column_type(present)})"
        columns.append(f"{value} AS {quoted(field.name)}")
    return ", ".join(columns)


def _by_key(request: PublishRequest, rows: str, target: str, there: TableSchema | None, deleted: str | None) -> str:
    """One row per key: the latest. Equal copies are repeats; latest rows that differ are ambiguous."""
    fields = key_fields(request.schema, request.key)
    keys = ", ".join(comparable(field, "r.") for field in fields)
    is_null = " OR ".join(f"r.{quoted(field.name)} IS NULL" for field in fields)
    latest = request.schema.get(request.latest_by) if request.latest_by else None
    order = f" ORDER BY r.{quoted(latest.name)} DESC NULLS LAST" if latest else ""
    age = f"RANK() OVER (PARTITION BY {keys}{order})" if latest else "1"
    marked = f"WHEN {deleted} THEN '{DELETED}' " if deleted else ""
    joins, present = _compared(request, target, there)
    helpers = "_ingestion_age, _ingestion_copy, _ingestion_latest"
    return (
        f"SELECT r.* EXCEPT ({helpers}), CASE WHEN {is_null} THEN '{NULL_KEY}' "
        f"WHEN r._ingestion_age = 1 AND r._ingestion_latest > 1 THEN '{AMBIGUOUS_KEY}' "
        f"WHEN r._ingestion_age > 1 OR r._ingestion_copy > 1 THEN '{REPEATED}' "
        f"{marked}{present}ELSE CAST(NULL AS STRING) END AS {VERDICT} FROM ("
        f"SELECT r.*, COUNTIF(r._ingestion_age = 1 AND r._ingestion_copy = 1) OVER (PARTITION BY {keys}) "
        f"AS _ingestion_latest FROM (SELECT r.*, {age} AS _ingestion_age, "
        f"ROW_NUMBER() OVER (PARTITION BY {whole_row(request.schema, 'r')}) AS _ingestion_copy "
        f"FROM {rows} AS r) AS r) AS r{joins}"
    )


def _compared(request: PublishRequest, target: str, there: TableSchema | None) -> tuple[str, str]:
    """Joins with the target, and cases for rows that it has already: later (replays) or just so (histories)."""
    if there is None:
        return "", ""
    fields = key_fields(request.schema, request.key)
    keys = [comparable(field, "t.") for field in fields]
    listed = ", ".join(f"{key} AS k{index}" for index, key in enumerate(keys))
    grouped = ", ".join(f"k{index}" for index in range(len(keys)))
    joins, cases = "", ""

    def same(alias: str) -> str:
        return " AND ".join(f"{alias}.k{index} = {comparable(field, 'r.')}" for index, field in enumerate(fields))

    latest = request.schema.get(request.latest_by) if request.latest_by else None
    if request.replay is not None and latest is not None and there.get(latest.name) is not None:
        name = quoted(latest.name)
        joins += (
            f" LEFT JOIN (SELECT {listed}, MAX(t.{name}) AS latest FROM {target} AS t GROUP BY {grouped}) AS later "
            f"ON {same('later')}"
        )
        cases += f"WHEN later.latest > r.{name} THEN '{PRESENT}' "
    if request.disposition is WriteDisposition.SCD2:
        current = quoted((request.history or HistoryColumns()).is_current)
        values = ", ".join(f"t.{quoted(field.name)} AS v{index}" for index, field in enumerate(request.schema.fields))
        equal = " AND ".join(_same_value(field, index) for index, field in enumerate(request.schema.fields))
        joins += (
            f" LEFT JOIN (SELECT {listed}, TRUE AS there, {values} FROM {target} AS t WHERE t.{current}) AS now "
            f"ON {same('now')} AND {equal}"
        )
        cases += f"WHEN now.there THEN '{PRESENT}' "
    return joins, cases


def _same_value(field: SchemaField, index: int) -> str:
    """SQL that is true where the staged row `r` and the version `now` have the same value in a column.

    By value where GoogleSQL has an equality: the same number may be written in two ways.
    """
    staged, there = f"r.{quoted(field.name)}", f"now.v{index}"
    if field.mode is FieldMode.REPEATED or field.type in _NO_KEY:
        return f"TO_JSON_STRING({staged}) = TO_JSON_STRING({there})"
    if field.type is FieldType.FLOAT:
        return f"TO_JSON_STRING({staged} + 0.0) = TO_JSON_STRING({there} + 0.0)"
    return f"{staged} IS NOT DISTINCT FROM {there}"


def _not_present(request: PublishRequest, rows: str, target: str, there: TableSchema, deleted: str | None) -> str:
    """Mark staged rows that the target has already, as many copies as it has (a multiset difference)."""
    common = [field for field in request.schema.fields if there.get(field.name) is not None]
    otherwise = f"IF({deleted}, '{DELETED}', NULL)" if deleted else "NULL"
    if not common:
        return f"SELECT r.*, CAST({otherwise} AS STRING) AS {VERDICT} FROM {rows} AS r"
    staged_row, present_row = _comparable_row(common, "r."), _comparable_row(common, "t.")
    return (
        f"SELECT r.* EXCEPT (_ingestion_row, _ingestion_copy), "
        f"IF(r._ingestion_copy <= COALESCE(p.copies, 0), '{PRESENT}', {otherwise}) AS {VERDICT} FROM ("
        f"SELECT r.*, {staged_row} AS _ingestion_row, ROW_NUMBER() OVER (PARTITION BY {staged_row}) AS _ingestion_copy "
        f"FROM {rows} AS r) AS r LEFT JOIN (SELECT {present_row} AS present, COUNT(*) AS copies FROM {target} AS t "
        f"WHERE {_bound(request, there)} GROUP BY present) AS p ON p.present = r._ingestion_row"
    )


def _comparable_row(fields: Sequence[SchemaField], prefix: str) -> str:
    """SQL for a text that equal rows of two tables share: each value by itself, decimals in one width."""

    def value(field: SchemaField) -> str:
        column = prefix + quoted(field.name)
        is_decimal = field.type in (FieldType.NUMERIC, FieldType.BIGNUMERIC) and field.mode is not FieldMode.REPEATED
        return f"CAST(CAST({column} AS BIGNUMERIC) AS STRING)" if is_decimal else column

    return f"TO_JSON_STRING([{', '.join(f'TO_JSON_STRING({value(field)})' for field in fields)}])"


def _bound(request: PublishRequest, there: TableSchema) -> str:
    window = request.window
    column = there.get(window.key) if window else None
    if window is None or column is None or request.schema.get(window.key) is None:
        return "TRUE"
    # A value that does not fit the column (it was converted) bounds nothing.
    return f"COALESCE(t.{quoted(column.name)} >= SAFE_CAST(@window AS {column_type(column)}), TRUE)"


def key_fields(schema: TableSchema, key: Sequence[str]) -> list[SchemaField]:
    """The key's columns. Raises SchemaMismatch when there is none, or one that cannot be compared."""
    missing = [name for name in key if schema.get(name) is None]
    if missing or not key:
        raise SchemaMismatch(f"the merge key {', '.join(missing) or '(none)'} is not among the columns", key=list(key))
    fields = [field for name in key if (field := schema.get(name)) is not None]
    for field in fields:
        if field.type in _NO_KEY or field.mode is FieldMode.REPEATED:
            raise SchemaMismatch(
                f"the column {field.name} is {type_label(field)}, which BigQuery cannot compare: it is no merge key",
                column=field.name,
            )
    return fields


def comparable(field: SchemaField, prefix: str) -> str:
    """SQL for a key column's value, to group by and to compare: floats by their text, NaN with NaN and 0 with -0."""
    name = prefix + quoted(field.name)
    return f"TO_JSON_STRING({name} + 0.0)" if field.type is FieldType.FLOAT else name


def _deleted(request: PublishRequest) -> str | None:
    """SQL that is true where a row `r` says of itself that it is deleted."""
    if request.deleted_by is None:
        return None
    column = request.schema.get(request.deleted_by)
    if column is None:
        raise SchemaMismatch(
            f"the column {request.deleted_by}, which marks deleted rows, is not among the columns "
            f"{', '.join(request.schema.names)}",
            column=request.deleted_by,
        )
    name = f"r.{quoted(column.name)}"
    if column.mode is not FieldMode.REPEATED:
        if column.type is FieldType.BOOLEAN:
            return f"COALESCE({name}, FALSE)"
        if column.type in _NUMBERS:
            return f"COALESCE({name} <> 0, FALSE)"
        if column.type in _TIMES:
            return f"({name} IS NOT NULL)"
    raise SchemaMismatch(
        f"the column {column.name} is {type_label(column)} and cannot mark deleted rows; a BOOLEAN, a number, a date "
        "or a timestamp can (transformation_params.type_conversions makes it one)",
        column=column.name,
    )


def _named(names: Sequence[str], prefix: str) -> str:
    return ", ".join(f"{prefix}{quoted(name)} AS {quoted(name)}" for name in names)


def whole_row(schema: TableSchema, alias: str) -> str:
    """SQL for a row's JSON text."""
    return f"TO_JSON_STRING(STRUCT({_named(schema.names, f'{alias}.')}))"
