"""The target table: what it looks like, and how it is brought into the shape the rows need.

Tables cannot be changed inside a transaction. What is done here comes before it and is undone when it fails: a
table that was made is dropped, a column that was added is taken away. Both are empty until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingestion.errors import SchemaMismatch, TargetFailed
from ingestion.formats.bigquery_types import column_type, from_bigquery, quoted, to_bigquery
from ingestion.formats.types import type_label
from ingestion.formats.widening import needs_values_checked, wider
from ingestion.model.load import HistoryColumns, PartitionType, WriteDisposition
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.warehouses.base import PublishRequest, TableLayout, TargetTable
from ingestion.warehouses.bigquery.names import Names
from ingestion.warehouses.bigquery.session import Session, failures, label, patience
from ingestion.warehouses.history import check_columns, history_fields

if TYPE_CHECKING:
    from google.cloud import bigquery

SWAP_LABEL = "ingestion_swap"
"""The label of a table that a swap has replaced: the token of its execution."""

_TRUNCATION = {
    FieldType.DATE: "DATE_TRUNC",
    FieldType.DATETIME: "DATETIME_TRUNC",
    FieldType.TIMESTAMP: "TIMESTAMP_TRUNC",
}


@dataclass
class Shaping:
    """What is to be done with the target before, or instead of, writing into it in the transaction."""

    schema: TableSchema | None
    creates: bool = False
    replaces: bool = False
    added: list[SchemaField] = field(default_factory=list)
    widened: list[SchemaField] = field(default_factory=list)

    @property
    def written(self) -> TableSchema | None:
        """The target's columns once it is shaped; None when it is made of the rows."""
        if self.schema is None or self.replaces:
            return None
        wide = {column.name.lower(): column for column in self.widened}
        return TableSchema(
            fields=(*(wide.get(column.name.lower(), column) for column in self.schema.fields), *self.added)
        )


def find(session: Session, names: Names, target: TargetTable) -> bigquery.Table | None:
    """The table, or None. Raises TargetFailed for a view."""
    from google.api_core import exceptions as google

    with failures(f"looking at {target.dataset}.{target.table}"):
        try:
            table = session.client.get_table(names.reference(target.table), **patience())
        except google.NotFound:
            return None
    if table.table_type != "TABLE":
        raise TargetFailed(
            f"{target.dataset}.{target.table} is a {table.table_type.lower().replace('_', ' ')}; rows can only be "
            "loaded into a table",
            table=target.table,
        )
    return table


def schema_of(table: bigquery.Table) -> TableSchema:
    """The table's columns."""
    return from_bigquery(f"{table.dataset_id}.{table.table_id}", table.schema)


def plan_shape(request: PublishRequest, there: TableSchema | None) -> Shaping:
    """What the rows need of the target. Raises SchemaMismatch naming all columns that cannot be brought together."""
    if request.disposition is WriteDisposition.SCD2:
        check_columns(request.history or HistoryColumns(), request.schema, there, request.target.table)
    if there is None:
        return Shaping(None, creates=bool(request.schema.fields))
    if request.disposition is WriteDisposition.WRITE_TRUNCATE and request.schema.fields:
        return _replacement(request.schema, there)
    shaping, conflicts = Shaping(there), []
    for staged in request.schema.fields:
        present = there.get(staged.name)
        if present is None:
            shaping.added.append(staged)
            continue
        wide = _wider(present, staged)
        if wide is None:
            conflicts.append(f"{staged.name} is {type_label(staged)}, the target has {type_label(present)}")
        elif wide is not present:
            shaping.widened.append(wide)
    if conflicts:
        raise SchemaMismatch(
            f"the rows do not fit the table {request.target.table}: {'; '.join(conflicts)}", conflicts=conflicts
        )
    return shaping


def _replacement(schema: TableSchema, there: TableSchema) -> Shaping:
    """A swap keeps the table while its columns are the new ones or fewer; else the table is replaced too."""
    shaping = Shaping(there)
    for staged in schema.fields:
        present = there.get(staged.name)
        if present is None:
            shaping.added.append(staged)
        elif column_type(present) != column_type(staged):
            shaping.replaces = True
    if any(schema.get(present.name) is None for present in there.fields):
        shaping.replaces = True
    if shaping.replaces:
        shaping.added = []
    return shaping


def _wider(present: SchemaField, staged: SchemaField) -> SchemaField | None:
    if column_type(present) == column_type(staged):
        return present
    if FieldType.RECORD in (present.type, staged.type):
        return None
    return wider(present, staged)


def check_values(session: Session, names: Names, request: PublishRequest, shaping: Shaping, staging: str) -> None:
    """Raise SchemaMismatch where integers that FLOAT does not hold exactly would become FLOAT."""
    written = shaping.written
    for staged in request.schema.fields:
        present = shaping.schema.get(staged.name) if shaping.schema else None
        target = written.get(staged.name) if written else None
        if present is None or target is None:
            continue
        for column, table in ((present, names.table(request.target.table)), (staged, staging)):
            if needs_values_checked(column, target):
                name = quoted(column.name)
                lost = session.number(f"SELECT COUNTIF(ABS({name}) > 9007199254740992) FROM {table}")
                if lost:
                    raise SchemaMismatch(
                        f"{lost} values of {column.name} are integers that FLOAT does not hold exactly; convert the "
                        "column by transformation_params.type_conversions",
                        column=column.name,
                    )


def apply(session: Session, names: Names, request: PublishRequest, shaping: Shaping) -> None:
    """Make the table, add its columns, widen them."""
    target = names.table(request.target.table)
    if shaping.creates:
        create(session, names, request)
        return
    changes = [f"ADD COLUMN IF NOT EXISTS {quoted(column.name)} {column_type(column)}" for column in shaping.added]
    if changes:
        session.query(f"ALTER TABLE {target} {', '.join(changes)}")
    for column in shaping.widened:
        session.query(f"ALTER TABLE {target} ALTER COLUMN {quoted(column.name)} SET DATA TYPE {column_type(column)}")


def undo(session: Session, names: Names, request: PublishRequest, shaping: Shaping) -> None:
    """Take away what `apply` made, as nothing was written into it."""
    target = names.table(request.target.table)
    if shaping.creates:
        if session.number(f"SELECT COUNT(*) FROM {target}") == 0:
            session.client.delete_table(names.reference(request.target.table), not_found_ok=True, **patience())
    elif shaping.added:
        drops = ", ".join(f"DROP COLUMN IF EXISTS {quoted(column.name)}" for column in shaping.added)
        session.query(f"ALTER TABLE {target} {drops}")


def create(session: Session, names: Names, request: PublishRequest) -> None:
    """Make the table, partitioned and clustered as asked for. Its columns may be NULL."""
    from google.cloud import bigquery

    layout = request.layout
    table = bigquery.Table(
        names.reference(request.target.table),
        schema=to_bigquery([nullable(column) for column in _columns(request)]),
    )
    if layout.partition_field is not None:
        partition = partition_column(request.schema, layout)
        table.time_partitioning = bigquery.TimePartitioning(
            type_=(layout.partition_type or PartitionType.DAY).value, field=partition.name
        )
    if layout.clustering:
        table.clustering_fields = list(layout.clustering)
    table.labels = {"ingestion_pipeline": label(request.pipeline_id)}
    with failures(f"making the table {names.dataset}.{request.target.table}"):
        session.client.create_table(table, exists_ok=True, **patience())


def _columns(request: PublishRequest) -> Sequence[SchemaField]:
    if request.disposition is not WriteDisposition.SCD2:
        return request.schema.fields
    return (*request.schema.fields, *history_fields(request.history or HistoryColumns()))


def nullable(column: SchemaField) -> SchemaField:
    """The column without REQUIRED: sources drop columns, and rows of before do not have those of today."""
    return column if column.mode is FieldMode.REPEATED else column.model_copy(update={"mode": FieldMode.NULLABLE})


def partition_column(schema: TableSchema, layout: TableLayout) -> SchemaField:
    """The column rows are partitioned by. Raises SchemaMismatch when there is none or its type has no partitions."""
    column = schema.get(layout.partition_field or "")
    if column is None or column.type not in _TRUNCATION or column.mode is FieldMode.REPEATED:
        found = type_label(column) if column else "not among the columns"
        raise SchemaMismatch(
            f"load_params.partition_field {layout.partition_field} is {found}; a DATE, DATETIME or TIMESTAMP is needed",
            column=layout.partition_field,
        )
    if column.type is FieldType.DATE and layout.partition_type is PartitionType.HOUR:
        raise SchemaMismatch(f"{column.name} is a DATE and has no hours to partition by", column=column.name)
    return column


def replacement(names: Names, request: PublishRequest, rows: str, token: str) -> str:
    """The statement that makes the table anew of the rows, whatever its columns were; `token` tells who did."""
    layout = request.layout
    clauses = ""
    if layout.partition_field is not None:
        column = partition_column(request.schema, layout)
        step = (layout.partition_type or PartitionType.DAY).value
        is_plain_day = column.type is FieldType.DATE and step == PartitionType.DAY.value
        by = quoted(column.name) if is_plain_day else f"{_TRUNCATION[column.type]}({quoted(column.name)}, {step})"
        clauses += f" PARTITION BY {by}"
    if layout.clustering:
        clauses += f" CLUSTER BY {', '.join(quoted(name) for name in layout.clustering)}"
    columns = ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in request.schema.fields)
    pipeline = label(request.pipeline_id)
    return (
        f"CREATE OR REPLACE TABLE {names.table(request.target.table)} ({columns}){clauses} "
        f"OPTIONS (labels = [('ingestion_pipeline', '{pipeline}'), ('{SWAP_LABEL}', '{token}')]) AS {rows}"
    )


def names_of(columns: Sequence[SchemaField]) -> list[str]:
    """Their names."""
    return [column.name for column in columns]
