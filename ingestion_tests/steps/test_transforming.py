"""Step 2: rewriting the rows."""

from __future__ import annotations

from pathlib import Path

from ingestion.steps import extract, publish, transform
from ingestion_tests.steps.workbench import (
    Bench,
    Row,
    RowsConnector,
    prepare,
    rows_connector,
    table_schema,
)


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


def test_a_rejected_row_is_kept_whole_whatever_its_columns_are_called(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"transformation_params": {"type_conversions": {"s": "INTEGER"}}})
    rows: list[Row] = [{"s": "1", "e": "a", "source": "b"}, {"s": "x", "e": "c", "source": "d"}]
    bench.run(RowsConnector(table_schema(s="STRING", e="STRING", source="STRING"), {"f.csv": rows}))
    assert bench.rows("SELECT raw_row FROM main.t__quarantine") == [('{"s":"x","e":"c","source":"d"}',)]
