"""What is wrong with transformation_params before any schema is known."""

from __future__ import annotations

from ingestion.model.pipeline import Deduplication, TransformationParams
from ingestion.steps import problems_in


def test_problems_are_found_when_a_pipeline_is_saved() -> None:
    params = TransformationParams(
        column_mappings={"a": "x", "b": "X", "c": " ", "d": "_ingestion d"},
        type_conversions={"a": "TEXT", "b": "int64"},
        calculated_fields={"y": "1 +", "z": "1"},
        filter="a; b",
        deduplicate=Deduplication(keys=("a",), order_by="random()"),
    )
    assert [problem.field for problem in problems_in(params)] == [
        "transformation_params.column_mappings.b",
        "transformation_params.column_mappings.c",
        "transformation_params.column_mappings.d",
        "transformation_params.type_conversions.a",
        "transformation_params.calculated_fields.y",
        "transformation_params.filter",
        "transformation_params.deduplicate.order_by",
    ]
