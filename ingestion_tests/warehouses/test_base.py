"""What every warehouse promises, stated once and proven on each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import PreconditionFailed, TargetFailed, TooManyBadRecords
from ingestion.model.load import WriteDisposition
from ingestion.model.quality import CheckSpec
from ingestion.model.quarantine import QuarantineSelection, QuarantineStatus
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.warehouses import PublishRequest
from ingestion_tests.steps.workbench import table_schema
from ingestion_tests.warehouses.conftest import Place
from ingestion_tests.warehouses.loading import load, stage

SCHEMA = table_schema(id="INTEGER", name="STRING")
ROWS: list[Mapping[str, Any]] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
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
