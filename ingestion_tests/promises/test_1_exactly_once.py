"""Promise 1: a row read from a source is in the target exactly once, or in the quarantine with its reason.

extracted = loaded + quarantined + deduplicated + filtered, counted in the warehouse.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import EmptySource, TargetFailed, TooManyBadRecords
from ingestion.steps import publish
from ingestion_tests.steps.killed import run_killed
from ingestion_tests.steps.workbench import Bench, RowsConnector, run_steps, table_schema

SCHEMA = table_schema(id="INTEGER", name="STRING", updated="INTEGER")
EXTRACTIONS: Mapping[str, Mapping[str, Any]] = {
    "WRITE_TRUNCATE": {"table": "t"},
    "WRITE_EMPTY": {"table": "t"},
    "WRITE_APPEND": {"table": "t", "incremental_key": "updated"},
    "MERGE": {"table": "t", "incremental_key": "updated", "primary_key": "id"},
    "SCD2": {"table": "t", "incremental_key": "updated", "primary_key": "id"},
}

# `bad` does not convert to a number, 0 is filtered; ids and instants collide often.
names = st.sampled_from(["1", "2", "3", "bad", "0"])
rows = st.builds(
    lambda identity, name, updated: {"id": identity, "name": name, "updated": updated},
    st.one_of(st.none(), st.integers(1, 4)),
    names,
    st.integers(1, 5),
)
batches = st.lists(st.lists(rows, max_size=8), min_size=1, max_size=3)


def configuration(disposition: str) -> dict[str, Any]:
    return {
        "extraction_params": EXTRACTIONS[disposition],
        "transformation_params": {
            "type_conversions": {"name": "INTEGER"},
            "filter": "name <> 0",
            "deduplicate": {"keys": ["id", "name", "updated"]},
        },
        "load_params": {"write_disposition": disposition, "max_bad_records": 1000, "empty_source": "allow"},
    }


def good(row: Mapping[str, Any]) -> bool:
    return row["name"] not in ("bad", "0")


def as_tuple(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["id"], int(row["name"]), row["updated"])


def present(disposition: str) -> str:
    """The query for the rows that count now."""
    return "SELECT id, name, updated FROM main.t" + (" WHERE is_current" if disposition == "SCD2" else "")


class Model:
    """What the target has to hold, told by the simplest program that could say so."""

    def __init__(self, disposition: str) -> None:
        self.disposition = disposition
        self.cursor: int | None = None
        self.target: Counter[tuple[Any, ...]] = Counter()

    def load(self, source: Sequence[Mapping[str, Any]]) -> None:
        is_incremental = self.disposition in ("WRITE_APPEND", "MERGE", "SCD2")
        read = [r for r in source if not is_incremental or self.cursor is None or r["updated"] >= self.cursor]
        kept = list(dict.fromkeys(as_tuple(r) for r in read if good(r)))
        if self.disposition in ("MERGE", "SCD2"):  # The current versions are what a merge would leave.
            self._merge(kept)
        elif self.disposition == "WRITE_APPEND":
            self.target |= Counter(kept)
        elif self.disposition == "WRITE_TRUNCATE":
            self.target = Counter(kept)
        else:
            self.target += Counter(kept)
        if is_incremental and read:
            self.cursor = max(r["updated"] for r in read)

    def _merge(self, kept: Sequence[tuple[Any, ...]]) -> None:
        for key in {row[0] for row in kept} - {None}:
            latest = max(row[2] for row in kept if row[0] == key)
            chosen = {row for row in kept if row[0] == key and row[2] == latest}
            if len(chosen) == 1:
                self.target = Counter({row: n for row, n in self.target.items() if row[0] != key})
                self.target[chosen.pop()] = 1


@pytest.mark.parametrize("disposition", list(EXTRACTIONS))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=batches, bad=st.integers(0, 2))
def test_every_row_is_somewhere_exactly_once(disposition: str, batches: list[list[dict[str, Any]]], bad: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        bench, model = Bench(Path(home), configuration(disposition)), Model(disposition)
        quarantined = 0
        for number, batch in enumerate(batches):
            connector = RowsConnector(SCHEMA, {"": batch}, bad=bad)
            if disposition == "WRITE_EMPTY" and model.target and any(good(row) for row in batch):
                with pytest.raises(TargetFailed, match="empty table"):
                    bench.run(connector, f"e{number}")
                continue
            ctx = bench.context(connector, f"e{number}")
            result = run_steps(ctx)
            assert publish(ctx) == result
            model.load(batch)
            parts = (result.loaded, result.quarantined, result.deduplicated, result.filtered)
            assert result.extracted == sum(parts)
            quarantined += result.quarantined
            assert Counter(bench.rows(present(disposition))) == model.target
            assert disposition == "SCD2" or result.target_rows == model.target.total()
        assert bench.rows("SELECT count(*) FROM main.t__quarantine") in ([(quarantined,)], [])
        assert bench.rows("SELECT count(*) FROM main.t__quarantine WHERE error_code IS NULL") in ([(0,)], [])


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_APPEND", "MERGE", "SCD2"])
@pytest.mark.parametrize("point", ["before the commit", "after the commit"])
def test_a_killed_load_that_is_repeated_lands_once(tmp_path: Path, disposition: str, point: str) -> None:
    wanted = configuration(disposition)
    first = [{"id": n, "name": "1", "updated": 1} for n in range(3)]
    second = [{"id": n, "name": name, "updated": 2} for n, name in enumerate(["2", "0", "bad", "3"])]
    bench, model = Bench(tmp_path, wanted), Model(disposition)
    bench.run(RowsConnector(SCHEMA, {"": first}), "e1")
    model.load(first)
    run_killed(tmp_path, wanted, second, "e2", point)
    result = bench.run(RowsConnector(SCHEMA, {"": second}), "e2")
    model.load(second)
    assert (result.extracted, result.loaded, result.quarantined, result.filtered) == (4, 2, 1, 1)
    assert Counter(bench.rows(present(disposition))) == model.target
    assert bench.rows("SELECT count(*) FROM main.t__quarantine") == [(1,)]
    assert bench.rows("SELECT execution_id FROM _ingestion.loads ORDER BY published_at") == [("e1",), ("e2",)]


def test_too_many_bad_rows_and_none_at_all_are_told_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(TooManyBadRecords):
        bench.run(RowsConnector(SCHEMA, {"f.csv": []}, bad=1), "e1")
    with pytest.raises(EmptySource):
        bench.run(RowsConnector(SCHEMA, {"f.csv": []}), "e2")
