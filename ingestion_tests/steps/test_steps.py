"""The steps in a row: what lands and what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import (
    Cancelled,
    TargetFailed,
)
from ingestion.steps import extract, load, publish, transform, validate
from ingestion.steps.manifest import staging_folder
from ingestion_tests.steps.workbench import (
    Bench,
    Row,
    RowsConnector,
    prepare,
    rows_connector,
    table_schema,
)


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
