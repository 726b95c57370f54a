from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.model.execution import (
    EXTRACT_TASK_IDS,
    TASK_LABELS,
    ErrorDetails,
    ExecutionParams,
    ExecutionStatus,
    dag_run_id_for,
    task_ids_for,
)
from ingestion.model.source import SourceType

ASKED_AT = datetime(2023, 6, 16, 1, 30, tzinfo=timezone(timedelta(hours=2)))  # Still the 15th in UTC.


def test_two_states_are_final() -> None:
    assert {status for status in ExecutionStatus if status.is_final} == {"SUCCESS", "FAILED"}


def test_params_are_free_form_around_what_has_a_meaning() -> None:
    given = {"batch_size": 1000, "include_deleted": False, "start_date": "2023-06-01", "note": {"a": [1]}}
    params = ExecutionParams.model_validate(given)
    assert (params.batch_size, params.include_deleted, params.start_date) == (1000, False, date(2023, 6, 1))
    assert params.given() == given


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": "10"}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"include_deleted": "yes"}, "include_deleted"),
        ({"start_date": "2023-13-01"}, "start_date"),
        ({"end_date": "soon"}, "end_date"),
    ],
)
def test_wrong_params_name_their_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        ExecutionParams.model_validate(given)


def test_the_end_does_not_lie_before_the_start() -> None:
    with pytest.raises(ValidationError, match="end_date 2023-06-01 lies before start_date 2023-06-02"):
        ExecutionParams.model_validate({"start_date": "2023-06-02", "end_date": "2023-06-01"})
    assert ExecutionParams.model_validate({"start_date": "2023-06-02", "end_date": "2023-06-02"}).is_backfill


@pytest.mark.parametrize(
    ("given", "start", "end", "is_backfill"),
    [
        ({}, date(2023, 6, 15), date(2023, 6, 15), False),
        ({"batch_size": 1}, date(2023, 6, 15), date(2023, 6, 15), False),
        ({"start_date": "2023-06-01"}, date(2023, 6, 1), date(2023, 6, 15), True),
        ({"end_date": "2023-06-01"}, date(2023, 6, 1), date(2023, 6, 1), True),
        ({"start_date": "2023-07-01"}, date(2023, 7, 1), date(2023, 7, 1), True),
        ({"start_date": "2023-06-01", "end_date": "2023-06-03"}, date(2023, 6, 1), date(2023, 6, 3), True),
    ],
)
def test_the_days_an_execution_is_about(given: dict[str, Any], start: date, end: date, is_backfill: bool) -> None:
    params = ExecutionParams.model_validate(given)
    interval = params.interval(ASKED_AT)
    assert (interval.start, interval.end, interval.at) == (start, end, ASKED_AT)
    assert params.is_backfill is is_backfill


@pytest.mark.parametrize("source_type", SourceType)
def test_four_tasks_of_every_type_have_labels(source_type: SourceType) -> None:
    tasks = task_ids_for(source_type)
    assert tasks[0] == EXTRACT_TASK_IDS[source_type]
    assert tasks[1:] == ("transform_data", "load_to_bigquery", "validate_data_quality")
    assert all(task_id in TASK_LABELS for task_id in tasks)


def test_tasks_of_the_contract() -> None:
    assert task_ids_for(SourceType.GCS)[0] == "extract_from_gcs"
    assert [TASK_LABELS[task_id] for task_id in task_ids_for(SourceType.GCS)] == [
        ("Extract from GCS", "GCSToLocalOperator"),
        ("Transform Data", "PythonOperator"),
        ("Load to BigQuery", "GCSToBigQueryOperator"),
        ("Validate Data Quality", "PythonOperator"),
    ]


def test_the_dag_run_id_of_the_contract() -> None:
    at = datetime(2023, 6, 15, 17, 30, 0, 999_999, tzinfo=UTC)
    assert dag_run_id_for("gcs_to_bq_daily_sales", at) == "gcs_to_bq_daily_sales_20230615T173000"


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.datetimes(
        datetime(1900, 1, 1), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11))])
    ),
)
def test_a_dag_run_id_tells_the_instant_in_utc(dag_id: str, at: datetime) -> None:
    match = re.fullmatch(rf"{dag_id}_(\d{{8}}T\d{{6}})", dag_run_id_for(dag_id, at))
    assert match is not None
    told = datetime.strptime(match.group(1), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    assert timedelta() <= at - told < timedelta(seconds=1)


def test_error_details_give_what_was_set() -> None:
    assert ErrorDetails(error_code="A", error_message="b").given() == {"error_code": "A", "error_message": "b"}
