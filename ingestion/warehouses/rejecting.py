"""The bad rows of one publish: into the quarantine, or back into it when they were taken from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ingestion import clock
from ingestion.errors import TargetFailed, TooManyBadRecords
from ingestion.formats.rejects import reasons_of
from ingestion.formats.types import literal, quoted
from ingestion.model.quarantine import RECORD_COLUMN, QuarantineSelection
from ingestion.sources.base import REJECT_COLUMNS
from ingestion.sql import column_list, row_json
from ingestion.warehouses import quarantine, resolution, tables
from ingestion.warehouses.base import PublishRequest

_EXPLANATIONS: Mapping[str, str] = {
    resolution.NULL_KEY: "a value in every column of the key",
    resolution.AMBIGUOUS_KEY: "one latest row per key",
}


@dataclass(frozen=True)
class BadRows:
    """The rejects staged by earlier steps, and the staged rows that the publish itself cannot place."""

    connection: duckdb.DuckDBPyConnection
    request: PublishRequest
    staging: str
    rejects: str

    def settle(self) -> int:
        """Bring them to where they belong; how many there are. Raises TooManyBadRecords."""
        self._gather()
        found = tables.count(self.connection, self.rejects)
        self._check_limit(found)
        if self.request.replay is not None:
            self._settle_replay(self.request.replay, found)
        elif found:
            self._quarantine(found)
        return found

    def _gather(self) -> None:
        """Add the unresolved rows to the staged rejects: one relation tells of all of them."""
        listed = resolution.verdict_list(resolution.QUARANTINED)
        if tables.count(self.connection, f"{resolution.VERDICTS} WHERE verdict IN ({listed})") == 0:
            return
        self.connection.execute(f"INSERT INTO {self.rejects} ({column_list(REJECT_COLUMNS)}) {self._unresolved()}")

    def _unresolved(self) -> str:
        request = self.request
        number = tables.row_number(request.schema)
        expected = " ".join(f"WHEN '{verdict}' THEN {literal(text)}" for verdict, text in _EXPLANATIONS.items())
        key_values = ", ".join(f"CAST(s.{quoted(name)} AS VARCHAR)" for name in request.key) or "NULL"
        place = f"'row ' || (s.{number} + 1)" if request.replay is None else f"s.{quoted(RECORD_COLUMN)}"
        return (
            f"SELECT NULL, {place}, 'publish', v.verdict, {literal(', '.join(request.key))}, "
            f"CASE v.verdict {expected} END, concat_ws(', ', {key_values}), {row_json(request.schema, 's.')}, NULL "
            f"FROM {self.staging} AS s JOIN {resolution.VERDICTS} AS v ON v.row = s.{number} "
            f"WHERE v.verdict IN ({resolution.verdict_list(resolution.QUARANTINED)}) ORDER BY s.{number}"
        )

    def _check_limit(self, found: int) -> None:
        limit = self.request.bad_record_limit
        if limit is not None and found > limit:
            raise TooManyBadRecords(
                f"{found} of {self.request.extracted} rows are bad, at most {limit} are allowed: "
                f"{reasons_of(self.connection, self.rejects)}",
                bad=found,
                allowed=limit,
                extracted=self.request.extracted,
            )

    def _quarantine(self, found: int) -> None:
        request = self.request
        quarantine.prepare(self.connection, request.target)
        number = quarantine.record_number("row_number() OVER (ORDER BY rowid)")
        names = column_list(REJECT_COLUMNS)
        written = tables.number(
            self.connection,
            f"INSERT INTO {quarantine.table_name(request.target)} "
            f"({names}, execution_id, pipeline_id, quarantined_at, status, record_id) "
            f"SELECT {names}, ?, ?, ?, 'OPEN', ? || '-' || {number} FROM {self.rejects} ORDER BY rowid",
            [request.execution_id, request.pipeline_id, clock.now(), request.execution_id],
        )
        self._require(written, found)

    def _settle_replay(self, replay: QuarantineSelection, found: int) -> None:
        request = self.request
        quarantine.prepare(self.connection, request.target)
        self._require(quarantine.count(self.connection, request.target, replay.only_open()), request.extracted)
        again = quarantine.settle_replay(self.connection, request.target, replay, self.rejects, request.execution_id)
        self._require(again, found)

    def _require(self, written: int, expected: int) -> None:
        if written != expected:
            raise TargetFailed(
                f"the quarantine of {self.request.target.dataset}.{self.request.target.table} has {written} of "
                f"{expected} rows; it was changed meanwhile, so execute again"
            )
