"""convert_timestamps."""

from __future__ import annotations

from pathlib import Path

from ingestion.model.pipeline import TransformationParams
from ingestion.steps.timestamps import timestamp_candidates
from ingestion_tests.steps.workbench import (
    Bench,
    Row,
    RowsConnector,
    table_schema,
)


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


def test_columns_that_are_told_otherwise_are_no_candidates() -> None:
    params = TransformationParams(
        convert_timestamps=True, column_mappings={"a": "x", "b": "y"}, type_conversions={"Y": "DATE", "c": "STRING"}
    )
    source = table_schema(a="STRING", b="STRING", c="STRING", d="STRING", e="INTEGER", f="STRING")
    assert timestamp_candidates(params, source, table_schema(D="STRING")) == ["a", "f"]
    assert timestamp_candidates(TransformationParams(), source, None) == []
