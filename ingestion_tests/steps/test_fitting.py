"""schema_policy: what differs between rows and target is added, refused or quarantined, and always counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import EmptySource, SchemaMismatch
from ingestion.model.schema import FieldType
from ingestion.warehouses.base import PublishResult
from ingestion_tests.steps.workbench import Bench, Row, RowsConnector, table_schema

APPEND = {"write_disposition": "WRITE_APPEND"}


def bench(folder: Path, policy: Mapping[str, str] | None = None, **load: Any) -> Bench:
    params = {**APPEND, **load, **({"schema_policy": policy} if policy else {})}
    return Bench(folder, {"load_params": params})


def run(bench: Bench, number: int, columns: Mapping[str, str], rows: Sequence[Row], **how: Any) -> PublishResult:
    connector = RowsConnector(table_schema(**columns), {f"f{number}.csv": rows})
    return bench.run(connector, f"e{number}", **how)


FIRST: tuple[Mapping[str, str], Sequence[Row]] = ({"id": "INTEGER"}, [{"id": 1}])
WITH_NEW: tuple[Mapping[str, str], Sequence[Row]] = (
    {"id": "INTEGER", "more": "STRING"},
    [{"id": 2, "more": None}, {"id": 3, "more": "x"}],
)


def test_evolve_adds_the_column(tmp_path: Path) -> None:
    target = bench(tmp_path, {"columns": "evolve"})
    run(target, 1, *FIRST)
    result = run(target, 2, *WITH_NEW)
    assert (result.loaded, result.details["columns_added"]) == (2, ["more"])
    assert target.rows("FROM main.t ORDER BY id") == [(1, None), (2, None), (3, "x")]


@pytest.mark.parametrize("disposition", ["WRITE_APPEND", "WRITE_TRUNCATE"])
def test_freeze_names_the_column_and_the_next_step(tmp_path: Path, disposition: str) -> None:
    target = bench(tmp_path, {"columns": "freeze"}, write_disposition=disposition)
    run(target, 1, *FIRST)
    before = target.everything()
    with pytest.raises(SchemaMismatch, match=r"the column more \(STRING\), which ds.t lacks, .* freeze; add the col"):
        run(target, 2, *WITH_NEW)
    assert target.everything() == before


def test_quarantine_takes_the_rows_that_use_the_column(tmp_path: Path) -> None:
    target = bench(tmp_path, {"columns": "quarantine"})
    run(target, 1, *FIRST)
    result = run(target, 2, *WITH_NEW)
    assert (result.loaded, result.quarantined, result.extracted) == (1, 1, 2)
    assert target.rows("FROM main.t ORDER BY id") == [(1,), (2,)]
    found = target.rows("SELECT position, stage, error_code, column_name, got, raw_row FROM main.t__quarantine")
    assert found[0][:5] == ("row 2", "load", "NEW_COLUMN", "more", "x")
    assert json.loads(found[0][5]) == {"id": 3, "more": "x"}


@pytest.mark.parametrize(
    ("kind", "value", "widened"),
    [("NUMERIC", "1.5", FieldType.NUMERIC), ("FLOAT", 1.5, FieldType.FLOAT)],
)
def test_types_evolve_where_nothing_is_lost(tmp_path: Path, kind: str, value: Any, widened: FieldType) -> None:
    target = bench(tmp_path)
    run(target, 1, {"v": "INTEGER"}, [{"v": 2**53}])
    given = Decimal(value) if isinstance(value, str) else value
    result = run(target, 2, {"v": kind}, [{"v": given}])
    assert result.details["columns_widened"] == ["v"]
    schema = target.state().schema
    assert schema is not None
    assert schema.fields[0].type is widened
    assert [row[0] for row in target.rows("FROM main.t ORDER BY v DESC")] == [2**53, given]
    run(target, 3, {"v": "INTEGER"}, [{"v": 3}])
    assert target.rows("SELECT count(*) FROM main.t WHERE v = 3") == [(1,)]


def test_a_value_the_column_cannot_hold_is_refused_or_quarantined(tmp_path: Path) -> None:
    rows: Sequence[Row] = [{"v": 2.0}, {"v": 2.5}, {"v": None}]
    for policy in ("freeze", "quarantine"):
        target = bench(tmp_path / policy, {"types": policy})
        run(target, 1, {"v": "INTEGER"}, [{"v": 1}])
        if policy == "freeze":
            with pytest.raises(SchemaMismatch, match=r"1 rows do not fit the column v of ds\.t: INTEGER .*'2\.5'"):
                run(target, 2, {"v": "FLOAT"}, rows)
            continue
        result = run(target, 2, {"v": "FLOAT"}, rows)
        assert (result.loaded, result.quarantined) == (2, 1)
        assert target.rows("FROM main.t ORDER BY v") == [(1,), (2,), (None,)]
        found = target.rows("SELECT error_code, column_name, expected, got FROM main.t__quarantine")
        assert found == [("TYPE_MISMATCH", "v", "INTEGER", "2.5")]


def test_types_without_a_lossless_way_are_refused(tmp_path: Path) -> None:
    target = bench(tmp_path)
    run(target, 1, {"v": "INTEGER"}, [{"v": 2**53 + 1}])
    with pytest.raises(SchemaMismatch, match="cannot become FLOAT: 1 of its values would change"):
        run(target, 2, {"v": "FLOAT"}, [{"v": 0.5}])
    with pytest.raises(SchemaMismatch, match="1 rows do not fit the column v"):
        run(target, 3, {"v": "STRING"}, [{"v": "007"}])
    with pytest.raises(SchemaMismatch, match="the column v"):
        run(target, 4, {"v": "BYTES"}, [{"v": b"7"}])
    assert target.rows() == [(2**53 + 1,)]


def test_columns_the_source_lacks_become_null_and_a_frozen_table_keeps_them(tmp_path: Path) -> None:
    target = bench(tmp_path, {"columns": "freeze"}, write_disposition="WRITE_TRUNCATE")
    run(target, 1, {"id": "INTEGER", "name": "STRING"}, [{"id": 1, "name": "a"}])
    run(target, 2, {"id": "INTEGER"}, [{"id": 2}])
    assert target.rows() == [(2, None)]


MARKED: tuple[Mapping[str, str], Sequence[Row]] = (
    {"id": "INTEGER", "gone": "BOOLEAN"},
    [{"id": 1, "gone": False}, {"id": 2, "gone": True}, {"id": 3, "gone": None}],
)


def marked_bench(folder: Path, disposition: str) -> Bench:
    return Bench(
        folder,
        {
            "extraction_params": {"table": "t", "deleted_column": "gone", "primary_key": "id"},
            "load_params": {"write_disposition": disposition},
        },
    )


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_APPEND", "MERGE", "SCD2"])
def test_rows_deleted_at_the_source_are_not_loaded_unless_asked_for(tmp_path: Path, disposition: str) -> None:
    without = marked_bench(tmp_path / "without", disposition)
    result = run(without, 1, *MARKED)
    assert (result.loaded, result.filtered, result.extracted) == (2, 1, 3)
    assert without.rows("SELECT id FROM main.t ORDER BY id") == [(1,), (3,)]
    included = marked_bench(tmp_path / "with", disposition)
    result = run(included, 1, *MARKED, params={"include_deleted": True})
    assert (result.loaded, result.filtered) == (3, 0)


def test_a_table_is_not_emptied_because_every_row_is_deleted(tmp_path: Path) -> None:
    target = marked_bench(tmp_path, "WRITE_TRUNCATE")
    run(target, 1, *MARKED)
    with pytest.raises(EmptySource):
        run(target, 2, MARKED[0], [{"id": 1, "gone": True}])
    assert target.rows("SELECT count(*) FROM main.t") == [(2,)]
