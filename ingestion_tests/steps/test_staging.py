"""The staging of an execution as a whole."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from ingestion.errors import (
    TargetFailed,
)
from ingestion.steps import discard_staging, extract, load, publish
from ingestion.steps.manifest import staging_folder
from ingestion_tests.steps.workbench import (
    Bench,
    rows_connector,
    run_steps,
)


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
