"""Step 4, first half: checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import (
    QualityFailed,
    SchemaMismatch,
    TargetFailed,
)
from ingestion.steps import publish
from ingestion_tests.steps.workbench import (
    Bench,
    prepare,
    rows_connector,
)


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
