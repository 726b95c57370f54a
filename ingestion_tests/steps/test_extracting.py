"""Step 1: reading the source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.errors import (
    EmptySource,
    TooManyBadRecords,
    UnexpectedFailure,
)
from ingestion.sources.base import Extraction, ExtractionRequest
from ingestion.steps import extract
from ingestion.steps.manifest import staging_folder
from ingestion_tests.steps.workbench import (
    SCHEMA,
    Bench,
    RowsConnector,
    rows_connector,
)


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


def test_files_that_do_not_hold_what_was_counted_are_refused(tmp_path: Path) -> None:
    ctx = Bench(tmp_path).context(rows_connector())
    connector = ctx.connector

    class Miscounting:
        def extract(self, request: ExtractionRequest) -> Extraction:
            return replace(connector.extract(request), rows=3)

    with pytest.raises(UnexpectedFailure, match="hold 2 rows and 0 rejects, but 3 and 0"):
        extract(replace(ctx, connector=Miscounting()))  # type: ignore[arg-type]
    assert not (staging_folder(ctx.settings, "e1") / "extract").exists()
