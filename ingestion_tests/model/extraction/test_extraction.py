from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.extraction import (
    EXTRACTION_MODELS,
    DatabaseExtraction,
    ExtractionParams,
    FileExtraction,
    as_columns,
)
from ingestion.model.load import LoadParams
from ingestion.model.source_type import SourceType
from ingestion_tests.store.samples import a_pipeline


@pytest.mark.parametrize(
    ("model", "sent", "message"),
    [
        (FileExtraction, {"file_pattern": "a_{{next_ds}}.csv"}, "unknown macro 'next_ds'; known macros are ds"),
        (FileExtraction, {"encoding": "klingon"}, "not a known encoding"),
        (FileExtraction, {"skip_header_rows": -1}, "skip_header_rows"),
        (FileExtraction, {"file_format": "XLS"}, "CSV"),
        (FileExtraction, {"schema": []}, "schema"),
        (FileExtraction, {"query": "SELECT 1"}, "query"),
        (DatabaseExtraction, {"query": "SELECT {{nope}}"}, "unknown macro 'nope'"),
        (DatabaseExtraction, {"query": "SELECT 'on {{ds}}'"}, "cannot be bound there"),
        (DatabaseExtraction, {"file_pattern": "*"}, "file_pattern"),
    ],
)
def test_extraction_params_that_cannot_work(model: type[ExtractionParams], sent: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(sent)


def test_the_extraction_is_of_the_source_s_type() -> None:
    pipeline = a_pipeline(configuration={"extraction_params": {"query": "SELECT 1"}})
    assert pipeline.extraction(SourceType.CLOUD_SQL) == DatabaseExtraction(query="SELECT 1")
    with pytest.raises(ValidationError):
        pipeline.extraction(SourceType.GCS)
    assert set(EXTRACTION_MODELS) == set(SourceType)


def test_keys_are_one_column_or_several() -> None:
    assert [as_columns(key) for key in (None, "a", ("a", "b"))] == [(), ("a",), ("a", "b")]
    assert as_columns(LoadParams.model_validate({"merge_key": ["a"]}).merge_key) == ("a",)
