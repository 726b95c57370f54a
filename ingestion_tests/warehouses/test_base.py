"""What every warehouse promises, stated once and proven on each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.errors import PreconditionFailed, SchemaMismatch, TargetFailed, TooManyBadRecords
from ingestion.model.load import HistoryColumns, WriteDisposition
from ingestion.model.quality import CheckSpec
from ingestion.model.quarantine import RECORD_COLUMN, QuarantineSelection, QuarantineStatus
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.steps.replaying import without_record
from ingestion.warehouses import PublishRequest, PublishResult
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.conftest import Place
from ingestion_tests.warehouses.loading import load, stage

SCHEMA = table_schema(id="INTEGER", name="STRING")
ROWS: list[Mapping[str, Any]] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
RECORDED = table_schema(id="INTEGER", name="STRING", seen="INTEGER", **{RECORD_COLUMN: "STRING"})
APPEND, MERGE, TRUNCATE = WriteDisposition.WRITE_APPEND, WriteDisposition.MERGE, WriteDisposition.WRITE_TRUNCATE


def test_a_publish_is_once_and_leaves_its_state(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    assert warehouse.state("p", target).schema is None
    assert warehouse.published("e1", target) is None
    objects = [ObjectVersion("a.csv", "7", 12)]
    how: dict[str, Any] = {"cursor": Cursor("id", "2"), "objects": objects, "target": target}
    first = load(warehouse, tmp_path, "e1", SCHEMA, ROWS, APPEND, **how)
    again = warehouse.publish(PublishRequest("e1", "p", target, SCHEMA, APPEND, extracted=99))
    assert (first.loaded, first.target_rows) == (2, 2)
    assert replace(again, details={}) == replace(first, details={})
    recorded = warehouse.published("e1", target)
    assert recorded is not None
    assert recorded.loaded == 2
    assert place.rows("id, name") == [(1, "a"), (2, "b")]
    state = warehouse.state("p", target)
    assert state.schema is not None
    assert (state.schema.names, state.row_count, state.cursor) == (["id", "name"], 2, Cursor("id", "2"))
    assert (state.loaded_objects, state.last_execution_id) == (frozenset(objects), "e1")
    assert warehouse.state("other", target).cursor is None


def test_a_merge_takes_the_latest_and_quarantines_the_undecidable(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    schema = table_schema(id="INTEGER", name="STRING", at="INTEGER", gone="BOOLEAN")
    load(warehouse, tmp_path, "e1", SCHEMA, [*ROWS, {"id": 5, "name": "e"}], TRUNCATE, target=target)
    rows: list[Mapping[str, Any]] = [
        {"id": 2, "name": "old", "at": 1, "gone": None},
        {"id": 2, "name": "new", "at": 2, "gone": False},
        {"id": 3, "name": "c", "at": 1, "gone": None},
        {"id": 3, "name": "c", "at": 1, "gone": None},
        {"id": None, "name": "z", "at": 1, "gone": None},
        {"id": 4, "name": "x", "at": 1, "gone": None},
        {"id": 4, "name": "y", "at": 1, "gone": None},
        {"id": 5, "name": "e", "at": 1, "gone": True},
    ]
    how: dict[str, Any] = {"key": ("ID",), "latest_by": "at", "deleted_by": "gone", "target": target}
    result = load(warehouse, tmp_path, "e2", schema, rows, MERGE, **how)
    assert (result.loaded, result.quarantined, result.deduplicated, result.filtered) == (2, 3, 2, 1)
    assert place.rows("id, name") == [(1, "a"), (2, "new"), (3, "c")]
    page = warehouse.quarantined(target, QuarantineSelection("p"), 0, 10)
    assert page.total == 3
    bad = [
        (record.error_code, record.column_name, json.loads(record.raw_row or "{}")["name"]) for record in page.records
    ]
    assert sorted(bad, key=str) == [
        ("AMBIGUOUS_KEY", "ID", "x"),
        ("AMBIGUOUS_KEY", "ID", "y"),
        ("NULL_KEY", "ID", "z"),
    ]
    only = QuarantineSelection("p", error_code="NULL_KEY")
    assert warehouse.export_quarantine(target, only, tmp_path / "out.parquet") == 1
    assert warehouse.discard_quarantined(target, only, "somebody") == 1
    assert warehouse.discard_quarantined(target, only, "somebody") == 0
    [decided] = warehouse.quarantined(target, only, 0, 10).records
    assert (decided.status, decided.decided_by) == (QuarantineStatus.DISCARDED, "somebody")


def test_a_replay_settles_the_records_it_took(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    schema = without_record(RECORDED)
    rejects = [
        {"position": f"line {n}", "error_code": "BAD", "raw_row": str(n), "raw_columns": '["id"]'} for n in range(6)
    ]
    rows: list[Mapping[str, Any]] = [{"id": 1, "name": "new", "seen": 5}, {"id": 2, "name": "b", "seen": 1}]
    load(warehouse, tmp_path, "e1", schema, rows, MERGE, key=("id",), target=target, rejects=rejects)
    everything = QuarantineSelection("p", execution_id="e1")
    ids = [f"e1-{n:09d}" for n in range(1, 7)]
    assert warehouse.discard_quarantined(target, QuarantineSelection("p", record_ids=(ids[5],)), "me") == 1
    assert warehouse.export_quarantine(target, everything.only_open(), tmp_path / "out.parquet") == 5
    exported = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["record_id"], row["raw_columns"]) for row in exported] == [(number, '["id"]') for number in ids[:5]]
    again: list[Mapping[str, Any]] = [
        {"id": 1, "name": "old", "seen": 4, RECORD_COLUMN: ids[0]},
        {"id": 2, "name": "B", "seen": 1, RECORD_COLUMN: ids[1]},
        {"id": None, "name": "c", "seen": 1, RECORD_COLUMN: ids[2]},
        {"id": 3, "name": "c", "seen": 1, RECORD_COLUMN: ids[3]},
    ]
    still = [{"position": ids[4], "stage": "load", "error_code": "WORSE", "got": "x"}]
    how: dict[str, Any] = {"key": ("id",), "latest_by": "seen", "replay": everything.only_open(), "target": target}
    with pytest.raises(TargetFailed, match=r"the quarantine of .*Orders has 5 of 4 rows; it was changed meanwhile"):
        load(warehouse, tmp_path, "e2", RECORDED, again, MERGE, **how)
    result = load(warehouse, tmp_path, "e3", RECORDED, again, MERGE, **how, rejects=still)
    assert (result.loaded, result.quarantined, result.deduplicated, result.extracted) == (2, 2, 1, 5)
    assert place.rows("id, name, seen") == [(1, "new", 5), (2, "B", 1), (3, "c", 1)]
    records = {record.record_id: record for record in warehouse.quarantined(target, everything, 0, 10).records}
    assert [(records[n].status, records[n].error_code, records[n].decided_by) for n in ids] == [
        (QuarantineStatus.REPLAYED, "BAD", "e3"),
        (QuarantineStatus.REPLAYED, "BAD", "e3"),
        (QuarantineStatus.OPEN, "NULL_KEY", None),
        (QuarantineStatus.REPLAYED, "BAD", "e3"),
        (QuarantineStatus.OPEN, "WORSE", None),
        (QuarantineStatus.DISCARDED, "BAD", "me"),
    ]
    assert {(record.position, record.raw_row) for record in records.values()} == {
        (f"line {n}", f"{n}") for n in range(6)
    }
    none = load(warehouse, tmp_path, "e4", RECORDED, [], MERGE, **how, rejects=[{"position": ids[2]}, *still])
    assert (none.loaded, none.quarantined, none.target_rows) == (0, 2, 3)


def test_a_history_closes_versions_and_adds_new_ones(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    schema = table_schema(id="INTEGER", name="STRING", at="FLOAT", gone="BOOLEAN")

    def day(number: int, *rows: tuple[int | None, str | None, float | None, bool], **how: Any) -> PublishResult:
        given = [dict(zip(schema.names, row, strict=True)) for row in rows]
        usual: dict[str, Any] = {"key": ("id",), "latest_by": "at", "deleted_by": "gone", "target": target}
        at = datetime(2024, 1, number, tzinfo=UTC)
        return load(warehouse, tmp_path, f"e{number}", schema, given, WriteDisposition.SCD2, as_of=at, **usual, **how)

    def versions() -> list[tuple[Any, ...]]:
        found = place.rows("id, name, extract(day FROM valid_from), extract(day FROM valid_to), is_current")
        return [tuple(row) for row in found]

    first = day(1, (1, "a", 1, False), (2, "b", None, False), (3, "c", 1, False), (5, "n", float("nan"), False))
    assert (first.loaded, first.target_rows) == (4, 4)
    rows = [(1, "x", 1, False), (1, "A", 2, False), (2, "b", None, False), (3, "c", 2, True), (4, "d", 2, True)]
    result = day(2, *rows, (5, "n", float("nan"), False), (None, "z", 1, False))
    assert (result.loaded, result.deduplicated, result.filtered, result.quarantined) == (1, 3, 2, 1)
    told = {name: result.details[name] for name in ("closed", "updated", "deleted", "unchanged")}
    assert told == {"closed": 2, "updated": 1, "deleted": 1, "unchanged": 2}
    history = [
        *((1, "A", 2, None, True), (1, "a", 1, 2, False), (2, "b", 1, None, True), (3, "c", 1, 2, False)),
        (5, "n", 1, None, True),
    ]
    assert versions() == history
    repeated = day(3, (1, "A", 2, False), (2, "b", None, False), close_absent=True)
    assert (repeated.loaded, repeated.details["closed"], repeated.details["deleted"]) == (0, 1, 1)
    assert versions() == [*history[:4], (5, "n", 1, 3, False)]
    with pytest.raises(SchemaMismatch, match=r"columns named name, which SCD2 adds .*history_columns"):
        day(4, (1, "a", 1, False), history=HistoryColumns(is_current="name"))


def test_an_append_skips_what_is_there_as_often_as_it_is(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    load(warehouse, tmp_path, "e1", SCHEMA, [*ROWS, {"id": None, "name": "n"}], APPEND, target=target)
    rows: list[Mapping[str, Any]] = [*ROWS, ROWS[1], {"id": None, "name": "n"}, {"id": 3, "name": None}]
    result = load(warehouse, tmp_path, "e2", SCHEMA, rows, APPEND, target=target, skip_present=True)
    assert (result.loaded, result.deduplicated) == (2, 3)
    assert place.rows("id, name") == sorted([(1, "a"), (2, "b"), (2, "b"), (3, None), (None, "n")], key=repr)


def test_what_is_refused_changes_nothing(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    stage(warehouse, tmp_path, "e0", SCHEMA, ROWS, target)
    wrong = PublishRequest("e0", "p", target, SCHEMA, APPEND, extracted=3)
    with pytest.raises(TargetFailed, match="do not add up: 3 extracted, but 2 loaded"):
        warehouse.publish(wrong)
    assert warehouse.state("p", target).schema is None
    assert warehouse.publish(replace(wrong, extracted=2, cursor=Cursor("id", "2"))).loaded == 2
    stale: dict[str, Any] = {"cursor": Cursor("id", "3"), "cursor_before": Cursor("id", "1"), "target": target}
    with pytest.raises(TargetFailed, match="moved from 1 to 2"):
        load(warehouse, tmp_path, "e2", SCHEMA, ROWS, APPEND, **stale)
    wider = table_schema(id="INTEGER", more="STRING")
    bad: list[Mapping[str, Any]] = [{"id": None, "more": "z"}]
    with pytest.raises(TooManyBadRecords, match="1 of 1 rows are bad, at most 0 are allowed: 1 NULL_KEY in id"):
        load(warehouse, tmp_path, "e3", wider, bad, MERGE, key=("id",), bad_record_limit=0, target=target)
    with pytest.raises(TargetFailed, match="has 2 rows"):
        load(warehouse, tmp_path, "e4", SCHEMA, ROWS, WriteDisposition.WRITE_EMPTY, target=target)
    with pytest.raises(TargetFailed, match="no staged rows"):
        warehouse.publish(PublishRequest("e5", "p", target, SCHEMA, APPEND, extracted=2))
    state = warehouse.state("p", target)
    assert state.schema is not None
    assert (state.schema.names, state.row_count, state.cursor) == (["id", "name"], 2, Cursor("id", "2"))


def test_a_swap_takes_the_new_columns_and_types(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    load(warehouse, tmp_path, "e1", SCHEMA, ROWS, TRUNCATE, target=target, objects=[ObjectVersion("a", "1", 1)])
    swap: dict[str, Any] = {"target": target, "forgets_objects": True}
    same = load(warehouse, tmp_path, "e2", SCHEMA, ROWS[:1], TRUNCATE, **swap)
    assert (same.target_rows, place.rows("id, name")) == (1, [(1, "a")])
    assert not {"updated", "deleted", "closed", "unchanged"} & set(same.details)
    other = table_schema(id="FLOAT", day="DATE")
    result = load(warehouse, tmp_path, "e3", other, [{"id": 1.5, "day": None}], TRUNCATE, **swap)
    assert (result.target_rows, place.rows("id, day")) == (1, [(1.5, None)])
    state = warehouse.state("p", target)
    assert state.schema is not None
    assert (state.schema.names, state.loaded_objects) == (["id", "day"], frozenset())


def test_staged_rows_are_audited(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    stage(warehouse, tmp_path, "e1", SCHEMA, [*ROWS, {"id": 2, "name": "it's \\n"}], target)
    checks = [
        CheckSpec(check="row_count", min=3, max=3),
        CheckSpec(check="unique", column="id"),
        CheckSpec(check="not_null", column="name"),
        CheckSpec(check="regex", column="name", pattern="^[ab]$"),
        CheckSpec(check="accepted_values", column="id", values=(1,)),
        CheckSpec(check="range", column="id", min="1", max=1.5),
        CheckSpec(check="expression", expression="\"name\" <> 'it''s \\n' AND length(\"name\") = 1"),
    ]
    results = warehouse.audit("e1", target, checks)
    assert [(result.check, result.failed_rows) for result in results] == [
        *(("row_count", 0), ("unique", 2), ("not_null", 0), ("regex", 1), ("accepted_values", 2)),
        *(("range", 2), ("expression", 1)),
    ]
    warehouse.discard("e1", target)
    with pytest.raises(TargetFailed, match="no staged rows"):
        warehouse.audit("e1", target, checks)


def test_a_cursor_is_set_by_hand_once_per_version(place: Place, tmp_path: Path) -> None:
    warehouse, target = place.warehouse, place.target
    load(warehouse, tmp_path, "e1", SCHEMA, ROWS, APPEND, cursor=Cursor("id", "2"), target=target)
    before = warehouse.cursor_state("p", target)
    assert (before.cursor, before.set_by) == (Cursor("id", "2"), "e1")
    after = warehouse.set_cursor("p", target, Cursor("id", "1"), by="me", version=before.version)
    assert (after.cursor, after.previous_value, after.set_by) == (Cursor("id", "1"), "2", "me")
    with pytest.raises(PreconditionFailed):
        warehouse.set_cursor("p", target, None, by="me", version=before.version)
    reset = warehouse.set_cursor("p", target, None, by="me", version=after.version)
    assert (reset.cursor, reset.previous_value) == (None, "1")


@pytest.mark.parametrize(
    ("disposition", "more"),
    [(WriteDisposition.SCD2, {"key": ("id",)}), (APPEND, {"skip_present": True})],
)
def test_unchanged_rows_are_known_by_values_of_every_type(
    place: Place, tmp_path: Path, disposition: WriteDisposition, more: Mapping[str, Any]
) -> None:
    schema = table_schema(
        id="INTEGER", n="NUMERIC", big="BIGNUMERIC", d="DATE", at="TIMESTAMP", local="DATETIME", t="TIME", j="JSON",
        b="BYTES", f="FLOAT", s="STRING", yes="BOOLEAN",
    )  # fmt: skip
    full: dict[str, Any] = {
        "id": 1, "n": Decimal("12.5"), "big": Decimal("0.000000000001"), "d": date(2026, 1, 2),
        "at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "local": datetime(2026, 1, 2, 3, 4, 5, 6),
        "t": time(23, 59, 59, 999999), "j": '{"b": [1, null], "a": "x"}', "b": b"\x00\xff", "f": 0.1, "s": "ä\n",
        "yes": True,
    }  # fmt: skip
    empty = dict.fromkeys(full) | {"id": 2}
    for number, loaded in ((1, 2), (2, 0)):
        how: dict[str, Any] = {**more, "target": place.target, "as_of": datetime(2026, 1, number, tzinfo=UTC)}
        result = load(place.warehouse, tmp_path, f"e{number}", schema, [full, empty], disposition, **how)
        assert (result.loaded, result.deduplicated) == (loaded, 2 - loaded)
