"""Step 4, second half: what is staged becomes visible."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import (
    TargetFailed,
)
from ingestion.steps import extract, load, publish, transform, validate
from ingestion_tests.steps.workbench import (
    Bench,
    rows_connector,
    run_steps,
)


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


def test_without_anything_staged_or_published_there_is_nothing_to_publish(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed, match="neither staged nor published"):
        publish(Bench(tmp_path).context(rows_connector()))
