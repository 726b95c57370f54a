"""Step 3: rows beside the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import (
    EmptySource,
)
from ingestion.model.schema import TableSchema
from ingestion_tests.steps.workbench import (
    Bench,
    RowsConnector,
    rows_connector,
)


def test_a_table_is_not_emptied_because_all_rows_were_filtered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(rows_connector())
    before = bench.everything()
    bench.configuration = {"transformation_params": {"filter": "id > 100"}}
    with pytest.raises(EmptySource, match="none of the 2 rows"):
        bench.run(rows_connector(), "e2")
    assert bench.everything() == before


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
