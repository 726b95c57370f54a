"""The steps in a row: what lands, what is counted, what is refused."""

from __future__ import annotations

import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import (
    Cancelled,
    EmptySource,
    QualityFailed,
    SchemaMismatch,
    TargetFailed,
    TooManyBadRecords,
)
from ingestion.model.schema import TableSchema
from ingestion.steps import discard_staging, extract, load, publish, transform, validate
from ingestion.steps.manifest import staging_folder
from ingestion_tests.steps.workbench import Bench, Row, RowsConnector, prepare, run_steps, table_schema

SCHEMA = table_schema(id="INTEGER", name="STRING")
ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def rows_connector(*rows: Mapping[str, Any], bad: int = 0) -> RowsConnector:
    return RowsConnector(SCHEMA, {"f.csv": rows or ROWS}, bad=bad)


def test_a_file_lands_and_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ctx = bench.context(rows_connector(bad=1))
    extracted, transformed, loaded, validated = prepare(ctx)
    assert extracted.metrics["rows_extracted"] == 3
    assert extracted.metrics["rows_rejected"] == 1
    assert extracted.metrics["objects"] == 1
    assert extracted.params["object"] == "f.csv"
    assert transformed.skipped
    assert loaded.metrics["rows_loaded"] == 2
    assert loaded.params["write_disposition"] == "WRITE_TRUNCATE"
    assert loaded.params["destination_project_dataset_table"] == "duckdb:ds.t"
    assert loaded.params["schema_fields"] == [
        {"name": "id", "type": "INTEGER", "mode": "NULLABLE", "description": ""},
        {"name": "name", "type": "STRING", "mode": "NULLABLE", "description": ""},
    ]
    assert validated.metrics["quality_checks_passed"] == 1
    assert validated.params == {
        "python_callable": "validate_data_quality",
        "op_kwargs": {"dataset": "ds", "table": "t"},
    }
    assert bench.rows() == []
    result = publish(ctx)
    assert (result.extracted, result.loaded, result.quarantined, result.target_rows) == (3, 2, 1, 2)
    assert bench.rows("FROM main.t ORDER BY id") == [(1, "a"), (2, "b")]
    assert bench.rows("SELECT position, status, execution_id FROM main.t__quarantine") == [("line 1", "OPEN", "e1")]


def test_a_replay_of_any_step_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    connector = rows_connector()
    ctx = bench.context(connector)
    for step in (extract, extract, transform, transform, load, load, validate, validate):
        step(ctx)
    first = publish(ctx)
    after = bench.everything()
    assert publish(ctx) == first
    assert run_steps(ctx) == first
    assert bench.everything() == after
    assert connector.reads == 1


def test_discard_leaves_nothing_behind_and_publish_still_answers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ctx = bench.context(rows_connector())
    result = run_steps(ctx)
    load(ctx)
    discard_staging(bench.settings, "e1")
    discard_staging(bench.settings, "e1")
    assert not staging_folder(bench.settings, "e1").exists()
    assert bench.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = '_staging'") == []
    assert publish(ctx) == result


def test_steps_out_of_order_are_refused(tmp_path: Path) -> None:
    ctx = Bench(tmp_path).context(rows_connector())
    with pytest.raises(TargetFailed, match="nothing is staged"):
        load(ctx)
    extract(ctx)
    with pytest.raises(TargetFailed, match="not been transformed"):
        load(ctx)
    with pytest.raises(TargetFailed, match="has staged nothing"):
        validate(ctx)
    with pytest.raises(TargetFailed, match="not been validated"):
        publish(ctx)


def test_an_empty_source_fails_unless_allowed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(rows_connector())
    before = bench.everything()
    with pytest.raises(EmptySource):
        bench.run(RowsConnector(SCHEMA, {"f.csv": []}), "e2")
    assert bench.everything() == before
    bench.configuration = {"load_params": {"empty_source": "allow"}}
    assert bench.run(RowsConnector(SCHEMA, {"f.csv": []}), "e3").target_rows == 0
    assert bench.rows() == []


@pytest.mark.parametrize("changes", [{}, {"filter": "id > 1"}])
def test_a_source_without_even_columns_empties_the_table_and_keeps_its_columns(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    bench = Bench(tmp_path, {"load_params": {"empty_source": "allow"}, "transformation_params": changes})
    nothing = RowsConnector(TableSchema(fields=()), {"f.csv": []})
    assert bench.run(nothing, "e1").target_rows == 0
    assert bench.state().schema is None
    bench.run(rows_connector(), "e2")
    filled = bench.state().schema
    assert bench.run(nothing, "e3").target_rows == 0
    assert bench.rows() == []
    assert bench.state().schema == filled


def test_a_table_is_not_emptied_because_all_rows_were_filtered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(rows_connector())
    before = bench.everything()
    bench.configuration = {"transformation_params": {"filter": "id > 100"}}
    with pytest.raises(EmptySource, match="none of the 2 rows"):
        bench.run(rows_connector(), "e2")
    assert bench.everything() == before


@pytest.mark.parametrize(("good", "bad", "limit", "opens"), [(1, 1, None, False), (1, 2, None, True), (5, 1, 0, True)])
def test_the_breaker_for_bad_rows(tmp_path: Path, good: int, bad: int, limit: int | None, opens: bool) -> None:
    bench = Bench(tmp_path, {"load_params": {"max_bad_records": limit}} if limit is not None else {})
    connector = rows_connector(*[{"id": n, "name": "x"} for n in range(good)], bad=bad)
    if opens:
        expected = f"{bad} of {good + bad} rows are bad, at most .* allowed: {bad} BAD, such as line 1"
        with pytest.raises(TooManyBadRecords, match=expected):
            bench.run(connector)
        assert bench.rows() == []
    else:
        assert bench.run(connector).quarantined == bad


def test_rows_that_do_not_convert_are_quarantined_with_their_reason(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        {
            "transformation_params": {
                "column_mappings": {"name": "amount"},
                "type_conversions": {"amount": "NUMERIC"},
                "calculated_fields": {"double": "amount * 2"},
                "filter": "id <> 3",
            }
        },
    )
    rows: list[Row] = [{"id": n, "name": text} for n, text in enumerate(["1.5", "x", "2", "3", None])]
    ctx = bench.context(rows_connector(*rows))
    _, transformed, _, _ = prepare(ctx)
    assert transformed.metrics["records_processed"] == 5
    assert (transformed.metrics["rows_rejected"], transformed.metrics["rows_filtered"]) == (1, 1)
    result = publish(ctx)
    assert (result.loaded, result.quarantined, result.filtered) == (3, 1, 1)
    assert bench.rows("SELECT id, amount::VARCHAR, double::DOUBLE FROM main.t ORDER BY id") == [
        (0, "1.500000000", 3.0),
        (2, "2.000000000", 4.0),
        (4, None, None),
    ]
    assert bench.rows(
        "SELECT object, position, stage, error_code, column_name, expected, got, raw_row FROM main.t__quarantine"
    ) == [
        ("f.csv", "row 2", "transform", "CONVERSION_FAILED", "amount", "NUMERIC", "x", '{"id":1,"name":"x"}'),
    ]


def test_an_identity_transformation_is_looked_at_but_rewrites_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"transformation_params": {"apply_schema": True, "convert_timestamps": True}})
    ctx = bench.context(rows_connector())
    extract(ctx)
    outcome = transform(ctx)
    assert not outcome.skipped
    assert outcome.metrics["records_processed"] == 2
    assert outcome.params["op_kwargs"]["input_file"] == outcome.params["op_kwargs"]["output_file"]


def test_convert_timestamps_only_where_every_value_is_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"transformation_params": {"convert_timestamps": True}})
    schema = table_schema(a="STRING", b="STRING", c="STRING")
    rows: list[Row] = [
        {"a": "2023-01-01T00:00:00+01:00", "b": "2023-01-01 00:00:00", "c": "2023-01-01"},
        {"a": None, "b": "soon", "c": "2023-01-02"},
    ]
    bench.run(RowsConnector(schema, {"f.csv": rows}))
    assert bench.rows("SELECT epoch(a)::BIGINT FROM main.t WHERE a IS NOT NULL") == [(1672527600,)]
    state = bench.state()
    assert state.schema is not None
    assert [column.type.value for column in state.schema.fields] == ["TIMESTAMP", "STRING", "STRING"]


def test_a_failing_check_stops_the_publish(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(rows_connector())
    before = bench.everything()
    bench.configuration = {
        "quality_params": {
            "checks": [
                {"check": "range", "column": "id", "max": 1},
                {"check": "not_null", "column": "name", "severity": "warn"},
            ]
        }
    }
    ctx = bench.context(rows_connector(), "e2")
    with pytest.raises(QualityFailed, match="range_id failed: 1 of 2 rows fail") as caught:
        prepare(ctx)
    assert [check.passed for check in caught.value.facts["checks"]] == [True, False, True]
    assert caught.value.facts["metrics"]["quality_checks_failed"] == 1
    with pytest.raises(TargetFailed, match="not been validated"):
        publish(ctx)
    assert bench.everything() == before


def test_a_check_on_an_unknown_column_is_a_schema_mismatch(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"quality_params": {"checks": [{"check": "not_null", "column": "nosuch"}]}})
    with pytest.raises(SchemaMismatch, match="nosuch"):
        bench.run(rows_connector())


@pytest.mark.parametrize("step", [extract, transform, load, validate])
def test_a_cancel_comes_through_and_leaves_no_half_step(tmp_path: Path, step: Any) -> None:
    bench = Bench(tmp_path, {"transformation_params": {"filter": "id > 0"}})

    def cancel(metrics: Mapping[str, Any]) -> None:
        raise Cancelled("Execution cancelled by user")

    steps = [extract, transform, load, validate]
    for earlier in steps[: steps.index(step)]:
        earlier(bench.context(rows_connector()))
    folder = staging_folder(bench.settings, "e1")
    with pytest.raises(Cancelled):
        step(bench.context(rows_connector(), progress=cancel))
    assert (folder / "extract").exists() == (step is not extract)
    assert (folder / "transform").exists() == (step in (load, validate))
    assert bench.rows() == []
    assert bench.run(rows_connector()).loaded == 2


def test_a_staging_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.settings.staging_dir.write_text("not a folder")
    with pytest.raises(TargetFailed, match=str(bench.settings.staging_dir)):
        extract(bench.context(rows_connector()))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    connector = rows_connector(*[{"id": n, "name": f"name {n * 7919}"} for n in range(50_000)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(TargetFailed, match=str(bench.settings.staging_dir)):
            extract(bench.context(connector))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert bench.run(connector).loaded == 50_000


def test_odd_column_names_survive_the_whole_way(tmp_path: Path) -> None:
    odd = 'a "b" [c]; --\n\u00e9'
    bench = Bench(tmp_path / "it's [home] * x=1", {"transformation_params": {"deduplicate": {"keys": [odd]}}})
    rows: list[Row] = [{odd: "1"}, {odd: "1"}, {odd: "2"}]
    result = bench.run(RowsConnector(table_schema(**{odd: "STRING"}), {"f.csv": rows}))
    assert (result.loaded, result.deduplicated) == (2, 1)
    assert bench.rows("DESCRIBE main.t")[0][0] == odd


def test_the_dataset_file_is_a_plain_duckdb_database(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(rows_connector())
    with duckdb.connect(str(tmp_path / "warehouse" / "ds.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM main.t").fetchone() == (2,)
