"""A swap whose columns change their type or go away: the table is replaced, which no transaction can hold.

It is announced, done, and recorded:

1. `announce` puts everything that the load record needs into `_ingestion_swaps`.
2. `replace` makes the table anew in one statement, with a label that names the execution.
3. `complete` turns the announcement into load record, cursor and quarantine in one transaction.

From 2 on the table itself tells whose rows it has. Whoever looks at it next, be it the repeated publish, the
reconciler or another load, does 3 first; so rows are never there without their record being found. An announcement
whose label no table has did nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ingestion.formats.bigquery_types import column_list, to_bigquery
from ingestion.model.schema import FieldType, SchemaField
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.warehouses.base import PublishRequest, PublishResult, TargetTable
from ingestion.warehouses.bigquery import bookkeeping, quarantine, scripts, targets
from ingestion.warehouses.bigquery.names import SWAPS, Names, rejects_table
from ingestion.warehouses.bigquery.session import Session, failures, has_table, patience

if TYPE_CHECKING:
    from google.cloud import bigquery

_COUNTS = ("staged", "rows_before", "loaded", "quarantined", "deduplicated", "filtered")
_COLUMNS: Mapping[str, FieldType] = {
    **dict.fromkeys(("execution_id", "token", "parameters"), FieldType.STRING),
    **dict.fromkeys(_COUNTS, FieldType.INTEGER),
    "begun_at": FieldType.TIMESTAMP,
}


def token(execution_id: str) -> str:
    """The value of the label that names an execution, whatever characters its id has."""
    return hashlib.sha256(execution_id.encode()).hexdigest()[:40]


def announce(session: Session, names: Names, counting: Sequence[str], parameters: Mapping[str, Any]) -> None:
    """Count and check by the statements `counting`, which may refuse, and write down what is about to happen."""
    _prepare(session, names)
    counts = ", ".join(_COUNTS)
    session.query(
        f"{scripts.variables()}{chr(10).join(counting)}\n"
        f"DELETE FROM {names.swaps} WHERE execution_id = @execution_id;\n"
        f"INSERT INTO {names.swaps} (execution_id, token, parameters, {counts}, begun_at) "
        f"SELECT @execution_id, @token, @parameters, {counts}, CURRENT_TIMESTAMP();",
        {**parameters, "token": token(str(parameters["execution_id"])), "parameters": json.dumps(parameters)},
    )
    # The bad rows are needed until the swap is recorded, whenever that is.
    reference = names.reference(rejects_table(str(parameters["execution_id"]), _target(names, parameters)))
    with failures("keeping the rejected rows"):
        rejects = session.client.get_table(reference, **patience())
        rejects.expires = None
        session.client.update_table(rejects, ["expires"], **patience())


def replace(session: Session, names: Names, request: PublishRequest, rows: str) -> None:
    """Make the table anew of the query `rows`, if the execution has announced that."""
    statement = targets.replacement(names, request, rows, token(request.execution_id))
    session.query(
        f"IF EXISTS (SELECT 1 FROM {names.swaps} WHERE execution_id = @execution_id) THEN\n{statement};\nEND IF;",
        {"execution_id": request.execution_id},
    )


def complete(session: Session, names: Names, target: TargetTable, table: bigquery.Table | None) -> str | None:
    """Record the swap that made the table, if it is not on record yet; the id of its execution."""
    mark = (table.labels or {}).get(targets.SWAP_LABEL) if table is not None else None
    if mark is None or not has_table(session, names, SWAPS):
        return None
    rows, _ = session.query(
        f"SELECT execution_id, parameters, {', '.join(_COUNTS)} FROM {names.swaps} WHERE token = @token LIMIT 1",
        {"token": mark},
    )
    if not rows:
        return None
    execution_id, text, *counted = rows[0]
    parameters = json.loads(text)
    counts = dict(zip(_COUNTS, counted, strict=True))
    session.query(
        _completion(names, target, parameters, counts),
        {**parameters, **{f"counted_{name}": int(value) for name, value in counts.items()}},
    )
    return str(execution_id)


def recorded(session: Session, names: Names, execution_id: str) -> PublishResult:
    """What a completed swap has published."""
    result = bookkeeping.load_record(session, names, execution_id)
    assert result is not None, execution_id
    return result


def forget(session: Session, names: Names, execution_id: str) -> None:
    """Take an announcement back that came to nothing."""
    if has_table(session, names, SWAPS):
        session.query(f"DELETE FROM {names.swaps} WHERE execution_id = @execution_id", {"execution_id": execution_id})


def _completion(names: Names, target: TargetTable, parameters: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    statements = [f"SET {name} = @counted_{name};" for name in counts]
    statements.append(f"SET rows_after = (SELECT COUNT(*) FROM {names.table(target.table)});")
    if counts["quarantined"]:
        rejects = names.table(rejects_table(str(parameters["execution_id"]), target))
        listed = column_list(list(REJECT_COLUMNS))
        statements.append(quarantine.insertion(names, target, f"(SELECT {listed} FROM {rejects})") + ";")
    statements += bookkeeping.recording(names, moves_cursor="cursor_key" in parameters)
    # Two completions cannot both take the announcement away: BigQuery ends the later one.
    statements.append(f"DELETE FROM {names.swaps} WHERE execution_id = @execution_id;")
    return scripts.transaction(names, statements)


def _target(names: Names, parameters: Mapping[str, Any]) -> TargetTable:
    return TargetTable(names.dataset, str(parameters["table_name"]))


def _prepare(session: Session, names: Names) -> None:
    from google.cloud import bigquery

    fields = [SchemaField(name=name, type=kind) for name, kind in _COLUMNS.items()]
    with failures(f"making the table {names.dataset}.{SWAPS}"):
        table = bigquery.Table(names.reference(SWAPS), schema=to_bigquery(fields))
        session.client.create_table(table, exists_ok=True, **patience())
