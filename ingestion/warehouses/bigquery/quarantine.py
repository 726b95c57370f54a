"""The table beside a target that holds its rejected rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingestion.formats.bigquery_types import column_list, literal, to_bigquery
from ingestion.model.quarantine import QuarantineRecord, QuarantineSelection, QuarantineStatus
from ingestion.model.schema import FieldType, SchemaField
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.warehouses.base import QuarantinePage, TargetTable
from ingestion.warehouses.bigquery.names import Names, quarantine_table
from ingestion.warehouses.bigquery.session import Session, failures, has_table, patience

_OWN_COLUMNS = {
    "execution_id": FieldType.STRING,
    "pipeline_id": FieldType.STRING,
    "quarantined_at": FieldType.TIMESTAMP,
    "status": FieldType.STRING,
    "record_id": FieldType.STRING,
    "decided_by": FieldType.STRING,
    "decided_at": FieldType.TIMESTAMP,
}
COLUMNS = {**dict.fromkeys(REJECT_COLUMNS, FieldType.STRING), **_OWN_COLUMNS}
REASON = ("stage", "error_code", "column_name", "expected", "got")
_EXPORTED = ("record_id", "object", "stage", "error_code", "raw_row", "raw_columns")
_DIGITS = 9


def prepare(session: Session, names: Names, target: TargetTable) -> None:
    """Make the table where it is missing."""
    from google.cloud import bigquery

    fields = [SchemaField(name=name, type=kind) for name, kind in COLUMNS.items()]
    name = quarantine_table(target)
    with failures(f"making the table {names.dataset}.{name}"):
        table = bigquery.Table(names.reference(name), schema=to_bigquery(fields))
        session.client.create_table(table, exists_ok=True, **patience())


def exists(session: Session, names: Names, target: TargetTable) -> bool:
    """Whether any row of the target was ever quarantined."""
    return has_table(session, names, quarantine_table(target))


def insertion(names: Names, target: TargetTable, rejects: str) -> str:
    """The statement that quarantines all rows of a relation with the columns of reject files."""
    listed = column_list(list(REJECT_COLUMNS))
    number = f"LPAD(CAST(ROW_NUMBER() OVER () AS STRING), {_DIGITS}, '0')"
    return (
        f"INSERT INTO {names.table(quarantine_table(target))} ({listed}, execution_id, pipeline_id, quarantined_at, "
        f"status, record_id) SELECT {listed}, @execution_id, @pipeline_id, CURRENT_TIMESTAMP(), 'OPEN', "
        f"CONCAT(@execution_id, '-', {number}) FROM {rejects}"
    )


def reasons(relation: str) -> str:
    """SQL for the most frequent reasons in a relation with the columns of reject files."""
    return (
        "(SELECT STRING_AGG(CONCAT(CAST(n AS STRING), ' ', error_code, COALESCE(CONCAT(' in ', column_name), '')), "
        "'; ' ORDER BY n DESC LIMIT 3) "
        f"FROM (SELECT error_code, column_name, COUNT(*) AS n FROM {relation} GROUP BY error_code, column_name))"
    )


def condition(selection: QuarantineSelection) -> tuple[str, dict[str, Any]]:
    """The selection as an SQL condition and its parameters."""
    tests, parameters = ["pipeline_id = @pipeline_id"], {"pipeline_id": selection.pipeline_id}
    exact = {
        "by_execution_id": ("execution_id", selection.execution_id),
        "by_error_code": ("error_code", selection.error_code),
        "by_status": ("status", selection.status),
    }
    for mark, (name, value) in exact.items():
        if value is not None:
            tests.append(f"{name} = @{mark}")
            parameters[mark] = str(value)
    if selection.record_ids is not None:
        listed = ", ".join(literal(record_id) for record_id in selection.record_ids)
        tests.append(f"record_id IN ({listed})" if listed else "FALSE")
    return " AND ".join(tests), parameters


def page(
    session: Session, names: Names, target: TargetTable, selection: QuarantineSelection, offset: int, limit: int
) -> QuarantinePage:
    """Some of the selected records, the latest first."""
    where, parameters = condition(selection)
    table = names.table(quarantine_table(target))
    total = session.number(f"SELECT COUNT(*) FROM {table} WHERE {where}", parameters)
    rows, _ = session.query(
        f"SELECT {column_list(list(COLUMNS))} FROM {table} WHERE {where} "
        f"ORDER BY quarantined_at DESC, record_id LIMIT {int(limit)} OFFSET {int(offset)}",
        parameters,
    )
    return QuarantinePage([_record(row) for row in rows], total)


def _record(row: Sequence[Any]) -> QuarantineRecord:
    values = dict(zip(COLUMNS, row, strict=True))
    return QuarantineRecord(**{**values, "status": QuarantineStatus(values["status"])})


def export(session: Session, names: Names, target: TargetTable, selection: QuarantineSelection, path: Path) -> int:
    """Write what a replay needs of the selected records to a Parquet file, by record id, a page at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    where, parameters = condition(selection)
    table = names.table(quarantine_table(target))
    statement = f"SELECT {column_list(list(_EXPORTED))} FROM {table} WHERE {where} ORDER BY record_id"
    schema = pa.schema([(name, pa.string()) for name in _EXPORTED])
    written = 0
    writer: pq.ParquetWriter | None = None
    with failures("reading the quarantine"):
        try:
            for rows in session.pages(statement, parameters):
                writer = writer or pq.ParquetWriter(path, schema)
                writer.write_table(
                    pa.Table.from_pylist([dict(zip(_EXPORTED, row, strict=True)) for row in rows], schema)
                )
                written += len(rows)
        finally:
            if writer is not None:
                writer.close()
    return written


def discard(session: Session, names: Names, target: TargetTable, selection: QuarantineSelection, by: str) -> int:
    """Give up the OPEN ones of the selected records; how many were."""
    where, parameters = condition(selection.only_open())
    _, job = session.query(
        f"UPDATE {names.table(quarantine_table(target))} SET status = 'DISCARDED', decided_by = @decided_by, "
        f"decided_at = CURRENT_TIMESTAMP() WHERE {where}",
        {**parameters, "decided_by": by},
    )
    return int(job.num_dml_affected_rows or 0)


def replayed(selection: QuarantineSelection) -> tuple[str, dict[str, Any]]:
    """The OPEN ones of the selected records as a condition with parameters of its own, for a publish."""
    where, parameters = condition(selection.only_open())
    own = {"pipeline_id": "by_pipeline_id"}
    return where.replace("@pipeline_id", "@by_pipeline_id"), {own.get(k, k): v for k, v in parameters.items()}


def settling(names: Names, target: TargetTable, where: str, again: str) -> tuple[str, str]:
    """Two statements: the records of `where` become REPLAYED but for those in `again`, which get their new reason.

    `again` is a relation with the columns of reject files in which `position` is the record's id.
    """
    table = names.table(quarantine_table(target))
    reasons = ", ".join(f"{name} = again.again_{name}" for name in REASON)
    renamed = ", ".join(f"a.{name} AS again_{name}" for name in REASON)
    return (
        f"UPDATE {table} SET status = 'REPLAYED', decided_by = @execution_id, decided_at = CURRENT_TIMESTAMP() "
        f"WHERE {where} AND record_id NOT IN (SELECT a.position FROM {again} AS a WHERE a.position IS NOT NULL)"
    ), (
        f"UPDATE {table} SET {reasons} FROM (SELECT a.position AS again_id, {renamed} FROM {again} AS a) AS again "
        f"WHERE record_id = again.again_id AND {where}"
    )
