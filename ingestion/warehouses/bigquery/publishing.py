"""The publish: one script whose transaction writes rows, quarantine, cursor, files and load record at once.

The script counts what it wrote and refuses itself, by an error that carries the facts, when they do not add up.
Its last act is to empty the staging table, which two publishes of one execution cannot both do: the later one is
ended by BigQuery, runs again, and finds the load record.

One write does not fit the transaction: a swap whose columns change their type or go away (see swapping).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ingestion.errors import TargetBusy, TargetFailed
from ingestion.formats.bigquery_types import column_list, quoted
from ingestion.model.load import WriteDisposition
from ingestion.model.quarantine import RECORD_COLUMN
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.warehouses.base import PublishRequest, PublishResult
from ingestion.warehouses.bigquery import bookkeeping, history, quarantine, resolution, swapping, targets
from ingestion.warehouses.bigquery.names import Names, quarantine_table, rejects_table, staging_table
from ingestion.warehouses.bigquery.scripts import raise_if, refusal, transaction
from ingestion.warehouses.bigquery.session import Session, has_table, is_conflict

_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.5
_JUDGED = "_ingestion_judged"
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
    quarantine.prepare(session, names, request.target)
    if publication.shaping.replaces:
        return publication.swap(session)
    try:
        targets.apply(session, names, request, publication.shaping)
        return publication.run(session, publication.script())
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
            if (refused := refusal(self.request, error)) is not None:
                raise refused from None
            raise
        if not rows:
            raise TargetFailed(f"the publish of {self.request.execution_id} left no load record")
        result = bookkeeping.result_of(rows[0])
        used = {"bytes_processed": done.total_bytes_processed, "slot_milliseconds": done.slot_millis}
        known = {name: int(value) for name, value in used.items() if value is not None}
        return replace(result, details={**result.details, **known})

    def record_only(self, has_target: bool) -> str:
        """Nothing was read: the load is on record, the target stays untouched."""
        count = f"(SELECT COUNT(*) FROM {self.target})" if has_target else "0"
        counts = [f"SET rows_before = {count};", f"SET rows_after = {count};"]
        return transaction(self.names, [*counts, *self._recording()])

    def swap(self, session: Session) -> PublishResult:
        """Replace the table by the rows, so that whatever stops this is completed by whoever comes next."""
        request, names = self.request, self.names
        rows = f"SELECT {column_list(request.schema.names)} FROM ({self._judging()}) WHERE {resolution.VERDICT} IS NULL"
        counting = [
            *self._counting(),
            f"SET loaded = {self._written()};",
            raise_if("loaded + quarantined + deduplicated + filtered != @extracted", "SUM", loaded="loaded"),
            self._check_cursor(),
        ]
        try:
            swapping.announce(session, names, counting, self._parameters())
        except TargetFailed as error:
            if (refused := refusal(request, error)) is not None:
                raise refused from None
            raise
        swapping.replace(session, names, request, rows)
        swapping.complete(session, names, request.target, targets.find(session, names, request.target))
        return swapping.recorded(session, names, request.execution_id)

    def script(self) -> str:
        """The whole publish."""
        settling = self._quarantining() if self.request.replay is None else self._settling_replay()
        statements = [
            self._check_cursor(),
            *self._counting(),
            *settling,
            *self._write(),
            *self._proof(),
            *self._recording(),
            f"DELETE FROM {self.staging} WHERE TRUE;",
        ]
        return transaction(self.names, statements)

    def _counting(self) -> list[str]:
        """Statements that judge the staged rows and count the verdicts."""
        return [
            f"SET rows_before = {'0' if self.shaping.creates else f'(SELECT COUNT(*) FROM {self.target})'};",
            f"CREATE TEMP TABLE {_JUDGED} AS {self._judging()};",
            f"SET staged = (SELECT COUNT(*) FROM {_JUDGED});",
            f"SET quarantined = (SELECT COUNT(*) FROM {self.rejects}) + {self._verdicts(*_EXPLANATIONS)};",
            f"SET deduplicated = @deduplicated + {self._verdicts(resolution.REPEATED, resolution.PRESENT)};",
            f"SET filtered = @filtered + {self._verdicts(resolution.DELETED)};",
            self._check_bad_records(),
        ]

    def _judging(self) -> str:
        there = self.shaping.written if not self.shaping.creates else None
        return resolution.judged(self.request, self.staging, self.target, there)

    def _recording(self) -> list[str]:
        request = self.request
        return bookkeeping.recording(
            self.names, moves_cursor=request.cursor is not None, disposition=request.disposition
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
        return raise_if(f"({stored}) IS DISTINCT FROM @cursor_before", "CURSOR", found=f"({stored})")

    # --- bad rows ---

    def _bad_rows(self) -> str:
        """All bad rows with the columns of reject files."""
        request = self.request
        keys = [f"CAST(r.{quoted(name)} AS STRING)" for name in request.key]
        if not keys:
            return f"(SELECT {column_list(list(REJECT_COLUMNS))} FROM {self.rejects})"
        expected = " ".join(f"WHEN '{verdict}' THEN '{text}'" for verdict, text in _EXPLANATIONS.items())
        values: dict[str, str] = {
            "position": f"r.{quoted(RECORD_COLUMN)}" if request.replay is not None else "CAST(NULL AS STRING)",
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
        return raise_if(
            "quarantined > @bad_record_limit",
            "BAD",
            quarantined="quarantined",
            reasons=quarantine.reasons(self._bad_rows()),
        )

    def _quarantining(self) -> list[str]:
        insertion = quarantine.insertion(self.names, self.request.target, self._bad_rows())
        return [f"IF quarantined > 0 THEN\n{insertion};\nEND IF;"]

    def _settling_replay(self) -> list[str]:
        """The taken records become REPLAYED, those that are bad again stay with their new reason."""
        assert self.request.replay is not None
        where, _ = quarantine.replayed(self.request.replay)
        open_rows = f"(SELECT COUNT(*) FROM {self.quarantine} WHERE {where})"
        closing, reopening = quarantine.settling(self.names, self.request.target, where, self._bad_rows())
        return [
            raise_if(f"{open_rows} != @extracted", "QUARANTINE", found=open_rows, expected="@extracted"),
            f"{closing};",
            f"{reopening};",
            raise_if("@@row_count != quarantined", "QUARANTINE", found=open_rows, expected="quarantined"),
        ]

    # --- good rows ---

    def _write(self) -> list[str]:
        request = self.request
        statements = []
        if request.disposition is WriteDisposition.WRITE_EMPTY:
            statements.append(raise_if("rows_before > 0 AND staged > 0", "NOT_EMPTY", rows="rows_before"))
        if request.disposition is WriteDisposition.WRITE_TRUNCATE:
            statements += [f"DELETE FROM {self.target} WHERE TRUE;", "SET deleted = rows_before;"]
        if request.disposition is WriteDisposition.SCD2:
            return list(history.keeping(request, self.target, _JUDGED))
        if request.disposition is WriteDisposition.MERGE:
            for number, verdict in (("deleted", f"= '{resolution.DELETED}'"), ("updated", "IS NULL")):
                statements += [self._delete_matching(verdict), f"SET {number} = @@row_count;"]
        listed = column_list(request.schema.names)
        statements.append(
            f"INSERT INTO {self.target} ({listed}) SELECT {listed} FROM {_JUDGED} WHERE {resolution.VERDICT} IS NULL;"
        )
        return [*statements, "SET loaded = @@row_count;"]

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
        is_history = self.request.disposition is WriteDisposition.SCD2
        expected = "rows_before + loaded" if is_history else "rows_before - deleted - updated + loaded"
        return [
            f"SET rows_after = (SELECT COUNT(*) FROM {self.target});",
            raise_if(f"rows_after != {expected}", "ROWS", found="rows_after", loaded="loaded"),
            raise_if("loaded + quarantined + deduplicated + filtered != @extracted", "SUM", loaded="loaded"),
        ]

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
        if request.replay is not None:
            parameters |= quarantine.replayed(request.replay)[1]
        if request.disposition is WriteDisposition.SCD2:
            parameters["as_of"] = request.as_of
        return parameters
