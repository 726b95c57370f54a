"""What is refused when a pipeline is saved."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.model.extraction import DatabaseExtraction, ExtractionParams, FileExtraction
from ingestion.model.pipeline import PipelineConfiguration
from ingestion.steps.load_problems import load_problems_in

FILES = FileExtraction(file_pattern="*")
MARKED = DatabaseExtraction(table="t", deleted_column="gone")


@pytest.mark.parametrize(
    ("load", "changes", "extraction", "problem"),
    [
        ({"write_disposition": "MERGE"}, {}, FILES, "merge_key: is needed to MERGE"),
        ({"write_disposition": "SCD2"}, {}, FILES, "merge_key: is needed to keep an SCD2 history"),
        ({"history_columns": {}}, {}, FILES, "history_columns: has a meaning for write_disposition SCD2 only"),
        ({"close_absent": False, "merge_key": "a"}, {}, FILES, "close_absent: has a meaning for"),
        (
            {"write_disposition": "SCD2", "close_absent": True},
            {},
            DatabaseExtraction(table="t", incremental_key="at"),
            "close_absent: needs a read of all rows",
        ),
        ({"partition_type": "DAY"}, {}, FILES, "partition_field: is needed for partition_type"),
        ({"clustering_fields": ["a", "A"]}, {}, FILES, "clustering_fields: names a column twice"),
        (
            {"merge_key": "A"},
            {"drop": ["a"]},
            FILES,
            "transformation_params.drop: drops 'A', which load_params.merge_key",
        ),
        (
            {},
            {"column_mappings": {"GONE": "x"}, "drop": ["X"]},
            MARKED,
            "drops 'x', which extraction_params.deleted_col",
        ),
        (
            {"write_disposition": "SCD2", "merge_key": "id"},
            {"calculated_fields": {"Valid_From": "1"}},
            FILES,
            "history_columns: 'valid_from' is a column of the rows already",
        ),
        (
            {"write_disposition": "WRITE_APPEND"},
            {},
            FileExtraction(file_pattern="*", only_new_files=False),
            "only_new_files: an append reads only new files",
        ),
    ],
)
def test_problems(load: Any, changes: Any, extraction: ExtractionParams, problem: str) -> None:
    configuration = PipelineConfiguration.model_validate({"load_params": load, "transformation_params": changes})
    found = load_problems_in(configuration, extraction)
    assert len(found) == 1
    assert problem in f"{found[0].field}: {found[0].message}"


def test_what_works_is_taken() -> None:
    load = {"write_disposition": "SCD2", "merge_key": "id", "close_absent": True, "clustering_fields": ["id"]}
    configuration = PipelineConfiguration.model_validate({"load_params": load})
    assert load_problems_in(configuration, FILES) == []
    assert load_problems_in(PipelineConfiguration(), MARKED) == []
