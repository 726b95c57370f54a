"""Cursors, windows, keys and files that were loaded before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import EmptySource, QualityFailed, TooManyBadRecords
from ingestion.sources.base import Cursor
from ingestion.steps import adopt_staging, extract, publish
from ingestion.steps.manifest import staging_folder
from ingestion_tests.steps.workbench import Bench, Row, RowsConnector, prepare, run_steps, table_schema

SCHEMA = table_schema(id="INTEGER", name="STRING", updated="INTEGER")
APPENDING: Mapping[str, Any] = {"extraction_params": {"table": "t", "incremental_key": "updated"}}
MERGING: Mapping[str, Any] = {"extraction_params": {"table": "t", "incremental_key": "updated", "primary_key": "id"}}
HISTORY: Mapping[str, Any] = {**MERGING, "load_params": {"write_disposition": "SCD2"}}


def row(identity: int | None, name: str, updated: int | None) -> Row:
    return {"id": identity, "name": name, "updated": updated}


def table(*rows: Row, keys: tuple[str, ...] = ()) -> RowsConnector:
    return RowsConnector(SCHEMA, {"": rows}, keys=keys)


def test_an_append_goes_on_from_the_cursor_and_repeats_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, APPENDING)
    bench.run(table(row(1, "a", 1), row(2, "b", 2), row(2, "b", 2), row(9, "none", None)), "e1")
    assert bench.state().cursor == Cursor("updated", "2")
    connector = table(
        row(1, "a", 1), row(2, "b", 2), row(2, "b", 2), row(2, "b", 2), row(3, "c", 3), row(9, "none", None)
    )
    result = bench.run(connector, "e2")
    assert connector.requests[0].cursor == Cursor("updated", "2")
    # From the cursor on: three copies of row 2 of which two are there, row 3, and the row without a value.
    assert (result.extracted, result.loaded, result.deduplicated) == (5, 2, 3)
    assert bench.rows("SELECT id, count(*) FROM main.t GROUP BY ALL ORDER BY id") == [(1, 1), (2, 3), (3, 1), (9, 1)]
    assert bench.rows("SELECT value, previous_value, execution_id FROM _ingestion.cursors") == [("3", "2", "e2")]


def test_an_empty_window_is_a_success_that_touches_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, APPENDING)
    bench.run(table(), "e0")
    assert bench.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'") == []
    bench.run(table(row(1, "a", 5)), "e1")
    before = bench.everything()
    result = bench.run(table(row(1, "a", 1)), "e2")
    after = bench.everything()
    assert (result.extracted, result.loaded, result.target_rows) == (0, 0, 1)
    assert len(after["loads"]) == len(before["loads"]) + 1
    assert after["target"] == before["target"]
    assert bench.state().cursor == Cursor("updated", "5")


def test_a_merge_keeps_one_row_per_key(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MERGING)
    bench.run(table(row(1, "a", 1), row(2, "b", 2)), "e1")
    result = bench.run(table(row(2, "bb", 3), row(2, "old", 2), row(3, "c", 4), row(3, "c", 4)), "e2")
    assert (result.extracted, result.loaded, result.deduplicated, result.quarantined) == (4, 2, 2, 0)
    assert bench.rows("SELECT id, name FROM main.t ORDER BY id") == [(1, "a"), (2, "bb"), (3, "c")]


def test_a_merge_quarantines_what_it_cannot_decide(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MERGING)
    good = [row(n, "ok", 1) for n in range(10, 16)]
    result = bench.run(table(row(1, "x", 1), row(1, "y", 1), row(None, "n", 1), *good), "e1")
    assert (result.loaded, result.quarantined) == (6, 3)
    assert bench.rows("SELECT error_code, got, count(*) FROM main.t__quarantine GROUP BY ALL ORDER BY ALL") == [
        ("AMBIGUOUS_KEY", "1", 2),
        ("NULL_KEY", "", 1),
    ]


def test_a_merge_of_too_many_undecidable_rows_publishes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MERGING)
    bench.run(table(row(1, "a", 1)), "e1")
    before = bench.everything()
    with pytest.raises(TooManyBadRecords):
        bench.run(table(row(None, "x", 2), row(None, "y", 2), row(4, "z", 2)), "e2")
    assert bench.everything() == before


def test_keys_told_by_the_source_make_it_a_merge(tmp_path: Path) -> None:
    bench = Bench(tmp_path, APPENDING)
    bench.run(table(row(1, "a", 1), keys=("id",)), "e1")
    bench.run(table(row(1, "b", 2), keys=("id",)), "e2")
    assert bench.rows("SELECT id, name FROM main.t") == [(1, "b")]


def test_renamed_keys_and_cursor_columns(tmp_path: Path) -> None:
    changes = {"column_mappings": {"id": "key", "updated": "changed"}}
    bench = Bench(tmp_path, {**MERGING, "transformation_params": changes})
    bench.run(table(row(1, "a", 1)), "e1")
    bench.run(table(row(1, "b", 2), row(1, "c", 3)), "e2")
    assert bench.rows("SELECT key, name, changed FROM main.t") == [(1, "c", 3)]
    assert bench.state().cursor == Cursor("updated", "3")


def test_a_converted_cursor_column_still_repeats_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {**APPENDING, "transformation_params": {"type_conversions": {"updated": "BOOLEAN"}}})
    bench.run(table(row(1, "a", 1)), "e1")
    assert bench.run(table(row(1, "a", 1), row(2, "b", 1)), "e2").deduplicated == 1
    assert bench.rows("SELECT count(*) FROM main.t") == [(2,)]


@pytest.mark.parametrize("configuration", [APPENDING, MERGING, HISTORY])
def test_a_backfill_repeats_nothing_and_leaves_the_cursor(tmp_path: Path, configuration: Mapping[str, Any]) -> None:
    bench = Bench(tmp_path, configuration)
    bench.run(table(row(1, "a", 1), row(2, "b", 5)), "e1")
    connector = table(row(1, "a", 1), row(7, "late", 2))
    bench.run(connector, "e2", params={"start_date": "2023-06-01", "end_date": "2023-06-02"})
    assert connector.requests[0].cursor is None
    assert bench.state().cursor == Cursor("updated", "5")
    assert bench.rows("SELECT id FROM main.t ORDER BY id") == [(1,), (2,), (7,)]


def test_dropping_the_target_reads_everything_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, APPENDING)
    bench.run(table(row(1, "a", 1)), "e1")
    with duckdb.connect(str(bench.warehouse.path("ds"))) as connection:
        connection.execute("DROP TABLE main.t")
    assert bench.run(table(row(1, "a", 1), row(2, "b", 2)), "e2").loaded == 2


def test_files_are_appended_once_unless_forced(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"load_params": {"write_disposition": "WRITE_APPEND"}})
    first = RowsConnector(SCHEMA, {"a.csv": [row(1, "a", 1)]})
    both = RowsConnector(SCHEMA, {"a.csv": [row(1, "a", 1)], "b.csv": [row(2, "b", 2)]})
    bench.run(first, "e1")
    assert bench.run(first, "e2").extracted == 0
    assert bench.run(both, "e3").loaded == 1
    assert bench.rows("SELECT count(*) FROM main.t") == [(2,)]
    assert bench.run(both, "e4", is_forced=True).loaded == 2
    empty = RowsConnector(SCHEMA, {"a.csv": [row(1, "a", 1)], "b.csv": [row(2, "b", 2)], "c.csv": []})
    with pytest.raises(EmptySource):
        bench.run(empty, "e5")


# --- retries ---


@pytest.mark.parametrize("damage", [False, True])
def test_a_retry_takes_over_whole_staging(tmp_path: Path, damage: bool) -> None:
    bench = Bench(tmp_path, {**APPENDING, "transformation_params": {"calculated_fields": {"double": "id * 2"}}})
    connector = table(row(1, "a", 1))
    prepare(bench.context(connector, "e1"))
    made = Path("transform") / "rows.parquet"
    if damage:
        (staging_folder(bench.settings, "e1") / made).write_bytes(b"")
    again = bench.context(connector, "e2")
    assert adopt_staging(again, "e1")
    assert (staging_folder(bench.settings, "e2") / made).exists() != damage
    assert run_steps(again).loaded == 1
    assert connector.reads == 1
    assert publish(again).loaded == 1


@pytest.mark.parametrize("change", ["revision", "source", "dates", "file", "loaded since", "nothing there", "deleted"])
def test_a_retry_reads_again_when_staging_may_differ(tmp_path: Path, change: str) -> None:
    bench = Bench(tmp_path, APPENDING)
    connector = table(row(1, "a", 1))
    if change != "nothing there":
        extract(bench.context(connector, "e1"))
    params: dict[str, Any] = {}
    if change == "revision":
        bench.revision = 2
    elif change == "dates":
        params["start_date"] = "2023-06-01"
    elif change == "deleted":
        params["include_deleted"] = True
    elif change == "file":
        file = staging_folder(bench.settings, "e1") / "extract" / "part.parquet"
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    elif change == "loaded since":
        bench.run(table(row(5, "e", 5)), "other")
    again = bench.context(connector, "e2", params)
    if change == "source":
        again = replace(again, source=again.source.model_copy(update={"version": 2}))
    assert not adopt_staging(again, "e1")


def test_a_retry_reads_again_when_the_rows_were_at_fault(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"quality_params": {"checks": [{"check": "range", "column": "id", "max": 1}]}})
    with pytest.raises(QualityFailed):
        bench.run(table(row(2, "a", 1)), "e1")
    assert not adopt_staging(bench.context(table(row(1, "a", 1)), "e2"), "e1")
    assert bench.run(table(row(1, "a", 1)), "e2").loaded == 1
