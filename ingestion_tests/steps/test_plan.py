"""Which disposition, key, window and cursor an execution uses."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction, FileExtraction
from ingestion.model.load import LoadParams
from ingestion.model.pipeline import PipelineConfiguration
from ingestion.sources.base import Cursor, ObjectVersion
from ingestion.steps.plan import bad_record_limit, disposition, plan_read, plan_write
from ingestion.warehouses.base import TargetState
from ingestion_tests.steps.workbench import table_schema

FOLLOWING = DatabaseExtraction(table="t", incremental_key="at")
STATE = TargetState(table_schema(id="INTEGER"), 3, Cursor("at", "5"), frozenset({ObjectVersion("f", "1", 1)}))


def configured(**load: Any) -> PipelineConfiguration:
    return PipelineConfiguration(load_params=LoadParams(**load))


@pytest.mark.parametrize(
    ("load", "extraction", "keys", "expected"),
    [
        ({}, FileExtraction(), (), "WRITE_TRUNCATE"),
        ({}, DatabaseExtraction(table="t"), ("id",), "WRITE_TRUNCATE"),
        ({}, FOLLOWING, (), "WRITE_APPEND"),
        ({}, FOLLOWING, ("id",), "MERGE"),
        ({}, DatabaseExtraction(table="t", incremental_key="at", primary_key="id"), (), "MERGE"),
        ({"merge_key": "id"}, FileExtraction(), (), "MERGE"),
        ({"merge_key": "id", "write_disposition": "WRITE_EMPTY"}, FOLLOWING, ("id",), "WRITE_EMPTY"),
        ({"write_disposition": "WRITE_APPEND"}, FOLLOWING, ("id",), "WRITE_APPEND"),
    ],
)
def test_dispositions(load: dict[str, Any], extraction: Any, keys: tuple[str, ...], expected: str) -> None:
    assert disposition(configured(**load), extraction, keys).value == expected


def test_reading_goes_on_from_the_cursor_of_the_same_key() -> None:
    plan = plan_read(PipelineConfiguration(), FOLLOWING, ExecutionParams(), False, STATE)
    assert (plan.is_incremental, plan.cursor) == (True, Cursor("at", "5"))
    other = DatabaseExtraction(table="t", incremental_key="other")
    assert plan_read(PipelineConfiguration(), other, ExecutionParams(), False, STATE).cursor is None
    truncating = configured(write_disposition="WRITE_TRUNCATE")
    replaced = plan_read(truncating, FOLLOWING, ExecutionParams(), False, STATE)
    assert (replaced.is_incremental, replaced.cursor, replaced.known_schema) == (False, None, None)


def test_a_backfill_reads_without_and_writes_without_the_cursor() -> None:
    backfill = ExecutionParams.model_validate({"start_date": "2023-06-01"})
    assert plan_read(PipelineConfiguration(), FOLLOWING, backfill, False, STATE).cursor is None
    plan = plan_write(PipelineConfiguration(), FOLLOWING, backfill, None, ())
    assert (plan.moves_cursor, plan.skip_present, plan.window) == (False, True, None)


def test_only_an_append_of_files_skips_what_was_loaded() -> None:
    appending = configured(write_disposition="WRITE_APPEND")
    params = ExecutionParams()
    assert plan_read(appending, FileExtraction(), params, False, STATE).skip_objects == STATE.loaded_objects
    assert plan_read(appending, FileExtraction(), params, True, STATE).skip_objects == frozenset()
    assert plan_read(PipelineConfiguration(), FileExtraction(), params, False, STATE).skip_objects == frozenset()


def test_known_types_are_told_by_the_names_of_the_source() -> None:
    configuration = PipelineConfiguration.model_validate(
        {
            "load_params": {"write_disposition": "WRITE_APPEND"},
            "transformation_params": {
                "column_mappings": {"nr": "id"},
                "calculated_fields": {"made": "1"},
                "type_conversions": {"converted": "DATE"},
            },
        }
    )
    state = TargetState(table_schema(id="INTEGER", made="INTEGER", converted="DATE"), 1, None, frozenset())
    plan = plan_read(configuration, FileExtraction(), ExecutionParams(), False, state)
    assert plan.known_schema is not None
    assert plan.known_schema.names == ["nr"]


def test_columns_are_written_by_their_new_names() -> None:
    configuration = PipelineConfiguration.model_validate(
        {"transformation_params": {"column_mappings": {"ID": "key", "at": "changed"}}}
    )
    extraction = DatabaseExtraction(table="t", incremental_key="at", primary_key="id")
    plan = plan_write(configuration, extraction, ExecutionParams(), Cursor("at", "5"), ())
    assert (plan.key, plan.latest_by, plan.window) == (("key",), "changed", Cursor("changed", "5"))
    assert plan.moves_cursor


@pytest.mark.parametrize(("limit", "rows", "allowed"), [(None, 0, 0), (None, 1, 0), (None, 3, 1), (7, 3, 7), (0, 9, 0)])
def test_how_many_bad_rows_are_allowed(limit: int | None, rows: int, allowed: int) -> None:
    assert bad_record_limit(LoadParams(max_bad_records=limit), rows) == allowed
    assert bad_record_limit(None, 3) == 1
