"""The publish: one script whose transaction writes rows, quarantine, cursor, files and load record at once.

The script counts what it wrote and refuses itself, by an error that carries the facts, when they do not add up.
Its last act is to empty the staging table, which two publishes of one execution cannot both do: the later one is
ended by BigQuery, runs again, and finds the load record.

One write does not fit the transaction: a swap whose columns change their type or go away replaces the table, in one
statement of its own right before the transaction. All checks are made before it.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ingestion.errors import IngestionError, TargetBusy, TargetFailed, TooManyBadRecords
from ingestion.formats.bigquery_types import column_list, quoted
from ingestion.model.load import WriteDisposition
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.warehouses.base import PublishRequest, PublishResult
from ingestion.warehouses.bigquery import bookkeeping, quarantine, resolution, targets
from ingestion.warehouses.bigquery.names import Names, quarantine_table, rejects_table, staging_table
from ingestion.warehouses.bigquery.session import Session, has_table, is_conflict

_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.5
_JUDGED = "_ingestion_judged"
_MARK = "INGESTION-REFUSAL"
_REFUSAL = re.compile(rf"{_MARK}(\{{.*?\}}){_MARK}", re.DOTALL)
_EXPLANATIONS: Mapping[str, str] = {
    resolution.NULL_KEY: "a value in every column of the key",
    resolution.AMBIGUOUS_KEY: "one latest row per key",
}


def publish(session: Session, names: Names, request: PublishRequest) -> PublishResult:
    """Publish, or answer what the execution has published already. Conflicts with others' writes are tried again."""
    bookkeeping.prepare(session, names)
    for attempt in range(_ATTEMPTS):
        try:
            return _attempt(session, names, request)
        except TargetBusy as error:
            if attempt + 1 == _ATTEMPTS or not is_conflict(error):
                raise
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.0))
    raise AssertionError("the last attempt returns or raises")


def _attempt(session: Session, names: Names, request: PublishRequest) -> PublishResult:
    table = targets.find(session, names, request.target)
    there = targets.schema_of(table) if table is not None else None
    is_swap = request.disposition is WriteDisposition.WRITE_TRUNCATE and bool(request.schema.fields)
    is_nothing = request.extracted == 0 and not is_swap
    publication = _Publication(
        names, request, targets.Shaping(there) if is_nothing else targets.plan_shape(request, there)
    )
    if is_nothing:
        return publication.run(session, publication.record_only(there is not None))
    if not _is_staged(session, names, request):
        earlier = bookkeeping.load_record(session, names, request.execution_id)
        if earlier is not None:
            return earlier
        raise TargetFailed(
            f"the execution {request.execution_id} has no staged rows for "
            f"{request.target.dataset}.{request.target.table}"
        )
    targets.check_values(session, names, request, publication.shaping, publication.staging)
    if request.replay is None:
        quarantine.prepare(session, names, request.target)
    try:
        targets.apply(session, names, request, publication.shaping)
        script = publication.script()
        return publication.run(session, script)
    except BaseException:
        is_shaped = publication.shaping.creates or publication.shaping.added
        if is_shaped and bookkeeping.load_record(session, names, request.execution_id) is None:
            targets.undo(session, names, request, publication.shaping)
        raise


def _is_staged(session: Session, names: Names, request: PublishRequest) -> bool:
    return all(
        has_table(session, names, name(request.execution_id, request.target)) for name in (staging_table, rejects_table)
    )


@dataclass
class _Publication:
    """One publish as a script and its parameters."""

    names: Names
    request: PublishRequest
    shaping: targets.Shaping

    def __post_init__(self) -> None:
        target, execution_id = self.request.target, self.request.execution_id
        self.target = self.names.table(target.table)
        self.staging = self.names.table(staging_table(execution_id, target))
        self.rejects = self.names.table(rejects_table(execution_id, target))
        self.quarantine = self.names.table(quarantine_table(target))

    def run(self, session: Session, script: str) -> PublishResult:
        """Run the script; a refusal of its own becomes the error it stands for."""
        try:
            rows, done = session.query(script, self._parameters())
        except TargetFailed as error:
            found = _REFUSAL.search(error.message)
            if found is None:
                raise
            raise self._refusal(json.loads(found[1])) from None
        if not rows:
            raise TargetFailed(f"the publish of {self.request.execution_id} left no load record")
        result = bookkeeping.result_of(rows[0])
        used = {"bytes_processed": done.total_bytes_processed, "slot_milliseconds": done.slot_millis}
        known = {name: int(value) for name, value in used.items() if value is not None}
        return replace(result, details={**result.details, **known})

    def record_only(self, has_target: bool) -> str:
        """Nothing was read: the load is on record, the target stays untouched."""
        count = f"(SELECT COUNT(*) FROM {self.target})" if has_target else "0"
        return self._transaction(
            [f"SET rows_before = {count};", f"SET rows_after = {count};", *self._bookkeeping()],
            before=(),
        )

    def script(self) -> str:
        """The whole publish."""
        request = self.request
        judged = resolution.judged(
            request, self.staging, self.target, self.shaping.written if not self.shaping.creates else None
        )
        counts = [
            f"SET rows_before = {'0' if self.shaping.creates else f'(SELECT COUNT(*) FROM {self.target})'};",
            f"CREATE TEMP TABLE {_JUDGED} AS {judged};",
            f"SET staged = (SELECT COUNT(*) FROM {_JUDGED});",
            f"SET quarantined = (SELECT COUNT(*) FROM {self.rejects}) + {self._verdicts(*_EXPLANATIONS)};",
            f"SET deduplicated = @deduplicated + {self._verdicts(resolution.REPEATED, resolution.PRESENT)};",
            f"SET filtered = @filtered + {self._verdicts(resolution.DELETED)};",
            self._check_bad_records(),
        ]
        writes = self._replace() if self.shaping.replaces else self._write()
        settled = [self._quarantining(), *writes, *self._proof(), *self._bookkeeping()]
        settled.append(f"DELETE FROM {self.staging} WHERE TRUE;")
        if not self.shaping.replaces:
            return self._transaction([*counts, *settled], before=())
        rows = f"SELECT {column_list(request.schema.names)} FROM {_JUDGED} WHERE {resolution.VERDICT} IS NULL"
        expected = f"{self._written()} + quarantined + deduplicated + filtered != @extracted"
        before = [*counts, _raise_if(expected, "SUM", loaded=self._written())]
        return self._transaction(settled, before=(*before, targets.replacement(self.names, request, rows) + ";"))

    def _transaction(self, statements: list[str], before: tuple[str, ...]) -> str:
        numbers = (
            "staged",
            "rows_before",
            "rows_after",
            "loaded",
            "quarantined",
            "deduplicated",
            "filtered",
            "deleted",
            "updated",
        )
        is_new = f"NOT EXISTS (SELECT 1 FROM {self.names.loads} WHERE execution_id = @execution_id)"
        body = "\n".join(statements)
        first = f"IF {is_new} THEN\n{chr(10).join(before)}\nEND IF;\n" if before else ""
        return (
            f"DECLARE {', '.join(numbers)} INT64 DEFAULT 0;\n{first}"
            f"BEGIN\nBEGIN TRANSACTION;\nIF {is_new} THEN\n{self._check_cursor()}{body}\nEND IF;\nCOMMIT TRANSACTION;\n"
            "EXCEPTION WHEN ERROR THEN\nROLLBACK TRANSACTION;\nRAISE;\nEND;\n"
            f"{bookkeeping.record_query(self.names)};"
        )

    # --- which rows ---

    def _verdicts(self, *verdicts: str) -> str:
        listed = ", ".join(f"'{verdict}'" for verdict in verdicts)
        return f"(SELECT COUNT(*) FROM {_JUDGED} WHERE {resolution.VERDICT} IN ({listed}))"

    def _written(self) -> str:
        return f"(SELECT COUNT(*) FROM {_JUDGED} WHERE {resolution.VERDICT} IS NULL)"

    def _check_cursor(self) -> str:
        """The rows were extracted from a cursor; if another load has moved it since, they are not the next ones."""
        if self.request.cursor is None or self.shaping.schema is None:
            return ""
        stored = bookkeeping.latest_cursor(self.names, "IF(key = @cursor_key, value, NULL)")
        return _raise_if(f"({stored}) IS DISTINCT FROM @cursor_before", "CURSOR", found=f"({stored})") + "\n"

    # --- bad rows ---

    def _bad_rows(self) -> str:
        """All bad rows with the columns of reject files."""
        request = self.request
        keys = [f"CAST(r.{quoted(name)} AS STRING)" for name in request.key]
        if not keys:
            return f"(SELECT {column_list(list(REJECT_COLUMNS))} FROM {self.rejects})"
        expected = " ".join(f"WHEN '{verdict}' THEN '{text}'" for verdict, text in _EXPLANATIONS.items())
        values: dict[str, str] = {
            "stage": "'publish'",
            "error_code": f"r.{resolution.VERDICT}",
            "column_name": "@key",
            "expected": f"CASE r.{resolution.VERDICT} {expected} END",
            "got": f"ARRAY_TO_STRING([{', '.join(keys)}], ', ')",
            "raw_row": resolution.whole_row(request.schema, "r"),
        }
        undecided = ", ".join(
            f"{values.get(name, 'CAST(NULL AS STRING)')} AS {quoted(name)}" for name in REJECT_COLUMNS
        )
        listed = ", ".join(f"'{verdict}'" for verdict in _EXPLANATIONS)
        return (
            f"(SELECT {column_list(list(REJECT_COLUMNS))} FROM {self.rejects} UNION ALL "
            f"SELECT {undecided} FROM {_JUDGED} AS r WHERE r.{resolution.VERDICT} IN ({listed}))"
        )

    def _check_bad_records(self) -> str:
        if self.request.bad_record_limit is None:
            return ""
        return _raise_if(
            "quarantined > @bad_record_limit",
            "BAD",
            quarantined="quarantined",
            reasons=quarantine.reasons(self._bad_rows()),
        )

    def _quarantining(self) -> str:
        insertion = quarantine.insertion(self.names, self.request.target, self._bad_rows())
        return f"IF quarantined > 0 THEN\n{insertion};\nEND IF;"

    # --- good rows ---

    def _write(self) -> list[str]:
        request = self.request
        statements = []
        if request.disposition is WriteDisposition.WRITE_EMPTY:
            statements.append(_raise_if("rows_before > 0 AND staged > 0", "NOT_EMPTY", rows="rows_before"))
        if request.disposition is WriteDisposition.WRITE_TRUNCATE:
            statements += [f"DELETE FROM {self.target} WHERE TRUE;", "SET deleted = rows_before;"]
        if request.disposition is WriteDisposition.MERGE:
            for number, verdict in (("deleted", f"= '{resolution.DELETED}'"), ("updated", "IS NULL")):
                statements += [self._delete_matching(verdict), f"SET {number} = @@row_count;"]
        listed = column_list(request.schema.names)
        statements.append(
            f"INSERT INTO {self.target} ({listed}) SELECT {listed} FROM {_JUDGED} WHERE {resolution.VERDICT} IS NULL;"
        )
        return [*statements, "SET loaded = @@row_count;"]

    def _replace(self) -> list[str]:
        return [f"SET loaded = {self._written()};", "SET deleted = rows_before;"]

    def _delete_matching(self, verdict: str) -> str:
        fields = resolution.key_fields(self.request.schema, self.request.key)
        same = " AND ".join(
            f"{resolution.comparable(field, 't.')} = {resolution.comparable(field, 'r.')}" for field in fields
        )
        return (
            f"DELETE FROM {self.target} AS t WHERE EXISTS (SELECT 1 FROM {_JUDGED} AS r "
            f"WHERE {same} AND r.{resolution.VERDICT} {verdict});"
        )

    # --- proof ---

    def _proof(self) -> list[str]:
        return [
            f"SET rows_after = (SELECT COUNT(*) FROM {self.target});",
            _raise_if(
                "rows_after != rows_before - deleted - updated + loaded", "ROWS", found="rows_after", loaded="loaded"
            ),
            _raise_if("loaded + quarantined + deduplicated + filtered != @extracted", "SUM", loaded="loaded"),
        ]

    def _bookkeeping(self) -> list[str]:
        """The load record, and the cursor if it moves."""
        constants = (
            "execution_id",
            "pipeline_id",
            "table_name",
            "disposition",
            "schema",
            "details",
            "objects",
            "forgets_objects",
            "extracted",
        )
        counted = {
            **{
                name: name
                for name in ("loaded", "quarantined", "deduplicated", "filtered", "staged", "rows_before", "updated")
            },
            "target_rows": "rows_after",
            "deleted": "deleted" if self.request.disposition is WriteDisposition.MERGE else "0",
            "published_at": "CURRENT_TIMESTAMP()",
        }
        columns = column_list([*constants, *counted])
        values = ", ".join([*(f"@{name}" for name in constants), *counted.values()])
        statements = [f"INSERT INTO {self.names.loads} ({columns}) SELECT {values};"]
        if self.request.cursor is not None:
            statements.append(bookkeeping.insert_cursor(self.names) + ";")
        return statements

    def _parameters(self) -> dict[str, Any]:
        request = self.request
        details = {
            "key": list(request.key),
            "objects": len(request.objects),
            **({"columns_added": targets.names_of(self.shaping.added)} if self.shaping.added else {}),
            **({"columns_widened": targets.names_of(self.shaping.widened)} if self.shaping.widened else {}),
        }
        parameters: dict[str, Any] = {
            **bookkeeping.of_pipeline(request.pipeline_id, request.target),
            "execution_id": request.execution_id,
            "disposition": request.disposition.value,
            "schema": request.schema.model_dump_json(exclude_none=True),
            "details": json.dumps(details),
            "objects": bookkeeping.objects_text(request.objects),
            "forgets_objects": request.forgets_objects,
            "extracted": request.extracted,
            "deduplicated": request.deduplicated,
            "filtered": request.filtered,
            "bad_record_limit": request.bad_record_limit if request.bad_record_limit is not None else request.extracted,
            "key": ", ".join(request.key),
            "window": request.window.value if request.window else None,
            "cursor_before": request.cursor_before.value if request.cursor_before else None,
        }
        if request.cursor is not None:
            parameters |= bookkeeping.cursor_parameters(request, request.cursor)
        return parameters

    def _refusal(self, facts: Mapping[str, Any]) -> IngestionError:
        request = self.request
        table = f"{request.target.dataset}.{request.target.table}"
        kind = facts["kind"]
        if kind == "CURSOR":
            then = request.cursor_before.value if request.cursor_before else None
            key = request.cursor.key if request.cursor else None
            return TargetFailed(
                f"the cursor {key} moved from {then} to {facts.get('found')} since the rows were extracted",
                expected=then,
                found=facts.get("found"),
            )
        if kind == "BAD":
            return TooManyBadRecords(
                f"{facts['quarantined']} of {request.extracted} rows are bad, at most {request.bad_record_limit} are "
                f"allowed: {facts['reasons']}",
                bad=facts["quarantined"],
                allowed=request.bad_record_limit,
                extracted=request.extracted,
            )
        if kind == "NOT_EMPTY":
            return TargetFailed(
                f"WRITE_EMPTY needs an empty table, but {table} has {facts['rows']} rows", rows=facts["rows"]
            )
        if kind == "ROWS":
            return TargetFailed(f"{table} has {facts['found']} rows after the load, others were expected", **facts)
        return TargetFailed(
            f"the rows do not add up: {request.extracted} extracted, but {facts['loaded']} loaded, "
            f"{facts['quarantined']} quarantined, {facts['deduplicated']} deduplicated and {facts['filtered']} filtered"
        )


def _raise_if(condition: str, kind: str, **facts: str) -> str:
    """A statement that ends the script with facts that `_refusal` understands."""
    told = {**facts}
    if kind == "SUM":
        told |= {name: name for name in ("quarantined", "deduplicated", "filtered")}
    listed = ", ".join([f"'{kind}' AS kind", *(f"{value} AS {name}" for name, value in told.items())])
    message = f"CONCAT('{_MARK}', TO_JSON_STRING(STRUCT({listed})), '{_MARK}')"
    return f"IF {condition} THEN\nRAISE USING MESSAGE = {message};\nEND IF;"
