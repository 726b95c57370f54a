"""What a dataset knows about its loads: tables `_ingestion_loads` and `_ingestion_cursors` in the dataset itself.

Rows are only ever added. BigQuery ends one of two transactions that change rows of the same table, but not of
two that add some: pipelines of one dataset do not get into each other's way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ingestion.formats.bigquery_types import to_bigquery
from ingestion.model.load import WriteDisposition
from ingestion.model.schema import FieldType, SchemaField
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses.base import CursorState, PublishRequest, PublishResult, TargetTable
from ingestion.warehouses.bigquery.names import CURSORS, LOADS, Names
from ingestion.warehouses.bigquery.session import Session, failures, patience

COUNTS = ("loaded", "quarantined", "deduplicated", "filtered", "extracted", "target_rows")
FACTS = ("staged", "rows_before", "updated", "deleted", "closed", "unchanged")

_CHANGES: Mapping[WriteDisposition | None, Sequence[str]] = {
    WriteDisposition.MERGE: ("updated", "deleted"),
    WriteDisposition.SCD2: ("updated", "deleted", "closed", "unchanged"),
}
_TEXTS = ("execution_id", "pipeline_id", "table_name", "disposition", "schema", "details", "objects")
_TABLES: Mapping[str, Mapping[str, FieldType]] = {
    LOADS: {
        **dict.fromkeys(_TEXTS, FieldType.STRING),
        **dict.fromkeys((*COUNTS, *FACTS), FieldType.INTEGER),
        "forgets_objects": FieldType.BOOLEAN,
        "published_at": FieldType.TIMESTAMP,
    },
    CURSORS: {
        **dict.fromkeys(("pipeline_id", "table_name", "key", "value", "previous_value"), FieldType.STRING),
        **dict.fromkeys(("execution_id", "set_by"), FieldType.STRING),
        "set_at": FieldType.TIMESTAMP,
        "number": FieldType.INTEGER,
    },
}
_MINE = "pipeline_id = @pipeline_id AND LOWER(table_name) = LOWER(@table_name)"
# With the table's alias: scripts have variables of the same names.
_RESULT = ", ".join(f"l.{name}" for name in (*COUNTS, *FACTS, "details"))


def prepare(session: Session, names: Names) -> None:
    """Make the bookkeeping tables where they are missing."""
    from google.cloud import bigquery

    for name, columns in _TABLES.items():
        fields = [SchemaField(name=column, type=kind) for column, kind in columns.items()]
        with failures(f"making the table {names.dataset}.{name}"):
            table = bigquery.Table(names.reference(name), schema=to_bigquery(fields))
            session.client.create_table(table, exists_ok=True, **patience())


def of_pipeline(pipeline_id: str, target: TargetTable) -> dict[str, Any]:
    """The parameters of `pipeline_id = ... AND table_name = ...`."""
    return {"pipeline_id": pipeline_id, "table_name": target.table}


def load_record(session: Session, names: Names, execution_id: str) -> PublishResult | None:
    """What an execution published, if it did."""
    rows, _ = session.query(record_query(names), {"execution_id": execution_id})
    return result_of(rows[0]) if rows else None


def record_query(names: Names) -> str:
    """The query whose first row `result_of` reads."""
    return (
        f"SELECT {_RESULT} FROM {names.loads} AS l WHERE l.execution_id = @execution_id ORDER BY l.published_at LIMIT 1"
    )


def result_of(row: Sequence[Any]) -> PublishResult:
    """A load record as the result of the publish that wrote it."""
    counts = dict(zip(COUNTS, row, strict=False))
    facts = dict(zip(FACTS, row[len(COUNTS) :], strict=False))
    details = {**json.loads(row[-1]), **{name: value for name, value in facts.items() if value is not None}}
    return PublishResult(**counts, details=details)


def recording(names: Names, *, moves_cursor: bool, disposition: WriteDisposition | None = None) -> list[str]:
    """Statements that write the load record from a script's numbers, and the cursor if it moves."""
    constants = (*_TEXTS, "forgets_objects", "extracted")
    counted = {
        **{name: name for name in ("loaded", "quarantined", "deduplicated", "filtered", "staged", "rows_before")},
        "target_rows": "rows_after",
        **{name: name for name in _CHANGES.get(disposition, ())},
        "published_at": "CURRENT_TIMESTAMP()",
    }
    columns = ", ".join([*constants, *counted])
    values = ", ".join([*(f"@{name}" for name in constants), *counted.values()])
    statements = [f"INSERT INTO {names.loads} ({columns}) SELECT {values};"]
    if moves_cursor:
        statements.append(insert_cursor(names) + ";")
    return statements


def last_execution(session: Session, names: Names, pipeline_id: str, target: TargetTable) -> str | None:
    """The pipeline's latest load into the table."""
    rows, _ = session.query(
        f"SELECT execution_id FROM {names.loads} WHERE {_MINE} ORDER BY published_at DESC LIMIT 1",
        of_pipeline(pipeline_id, target),
    )
    return str(rows[0][0]) if rows else None


def loaded_objects(session: Session, names: Names, pipeline_id: str, target: TargetTable) -> frozenset[ObjectVersion]:
    """The files the pipeline has loaded into this table: a name's latest generation, since the last replacement."""
    rows, _ = session.query(
        f"SELECT objects FROM {names.loads} WHERE {_MINE} AND objects != '[]' AND published_at >= COALESCE("
        f"(SELECT MAX(published_at) FROM {names.loads} WHERE LOWER(table_name) = LOWER(@table_name) "
        "AND forgets_objects), TIMESTAMP '1970-01-01') ORDER BY published_at",
        of_pipeline(pipeline_id, target),
    )
    latest = {item[0]: item for row in rows for item in json.loads(row[0])}
    return frozenset(ObjectVersion(*item) for item in latest.values())


def objects_text(objects: Sequence[ObjectVersion]) -> str:
    """Files as the load record has them."""
    return json.dumps([[item.name, item.generation, item.size_bytes] for item in objects])


def latest_cursor(names: Names, columns: str) -> str:
    """A query for `columns` of the pipeline's present cursor."""
    return f"SELECT {columns} FROM {names.cursors} WHERE {_MINE} ORDER BY number DESC LIMIT 1"


def insert_cursor(names: Names) -> str:
    """The statement that makes @cursor_key and @cursor_value the cursor, keeping the value they replace."""
    return (
        f"INSERT INTO {names.cursors} (pipeline_id, table_name, key, value, previous_value, execution_id, set_by, "
        "set_at, number) SELECT @pipeline_id, @table_name, @cursor_key, @cursor_value, "
        f"({latest_cursor(names, 'value')}), @set_execution_id, @set_by, CURRENT_TIMESTAMP(), "
        f"COALESCE(({latest_cursor(names, 'number')}), 0) + 1"
    )


def cursor_state(session: Session, names: Names, pipeline_id: str, target: TargetTable) -> CursorState:
    """The cursor, what it was before, and who set it."""
    columns = "key, value, previous_value, execution_id, set_by, set_at, number"
    rows, _ = session.query(latest_cursor(names, columns), of_pipeline(pipeline_id, target))
    if not rows:
        return CursorState()
    key, value, previous, execution_id, set_by, set_at, _ = rows[0]
    return CursorState(
        cursor=Cursor(key, value) if value is not None else None,
        previous_value=previous,
        set_by=set_by,
        set_at=set_at,
        execution_id=execution_id,
        version=hashlib.sha256(repr([str(part) for part in rows[0]]).encode()).hexdigest()[:16],
    )


def cursor_parameters(request: PublishRequest, cursor: Cursor) -> dict[str, Any]:
    """The parameters of `insert_cursor` for a publish."""
    return {
        "cursor_key": cursor.key,
        "cursor_value": cursor.value,
        "set_execution_id": request.execution_id,
        "set_by": request.execution_id,
    }


def set_cursor(
    session: Session, names: Names, pipeline_id: str, target: TargetTable, cursor: Cursor | None, by: str
) -> None:
    """Set the cursor, or reset it where it is None, unless that is what it is."""
    before = cursor_state(session, names, pipeline_id, target)
    rows, _ = session.query(latest_cursor(names, "key"), of_pipeline(pipeline_id, target))
    key = cursor.key if cursor else rows[0][0] if rows else None
    if key is None or before.cursor == cursor:
        return
    session.query(
        insert_cursor(names),
        {
            **of_pipeline(pipeline_id, target),
            "cursor_key": key,
            "cursor_value": cursor.value if cursor else None,
            "set_execution_id": None,
            "set_by": by,
        },
    )
