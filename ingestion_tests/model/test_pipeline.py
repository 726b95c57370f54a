from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ingestion.model.extraction import FileExtraction
from ingestion.model.pipeline import DAG_PREFIXES, PipelineConfiguration, TableName, dag_id_for
from ingestion.model.source import SourceType
from ingestion_tests.store.samples import a_pipeline

table_name = TypeAdapter(TableName)


@pytest.mark.parametrize("source_type", SourceType)
def test_every_source_type_has_a_prefix(source_type: SourceType) -> None:
    assert dag_id_for(source_type, "t") == f"{DAG_PREFIXES[source_type]}_to_bq_t"


def test_the_dag_ids_of_the_contract() -> None:
    assert dag_id_for(SourceType.GCS, "daily_sales") == "gcs_to_bq_daily_sales"
    assert dag_id_for(SourceType.CLOUD_SQL, "customers") == "cloudsql_to_bq_customers"


@given(st.text(max_size=30))
def test_a_dag_id_is_a_name_dagster_accepts(target_table: str) -> None:
    dag_id = dag_id_for(SourceType.GCS, target_table)
    assert dag_id.isascii()
    assert dag_id.replace("_", "").isalnum()


@pytest.mark.parametrize("name", ["daily_sales", "_x", "A1", "x" * 200])
def test_table_names(name: str) -> None:
    assert table_name.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "1a", "a-b", "a.b", "a b", "größe", "a;", "x" * 201, "_ingestion_loads", "a__quarantine", "a\n"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValidationError):
        table_name.validate_python(name)


def test_a_configuration_gives_back_what_was_sent() -> None:
    sent = {
        "schedule": "0 2 * * *",
        "timezone": "Europe/Berlin",
        "extraction_params": {"file_pattern": "sales_*.csv", "anything": None},
        "transformation_params": {"apply_schema": True, "filter": None},
        "load_params": {"merge_key": ["a", "b"]},
        "quality_params": {"checks": [{"check": "not_null", "column": "a"}]},
    }
    assert PipelineConfiguration.model_validate(sent).given() == sent


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"schedule": "0 2 * *"}, "five fields"),
        ({"schedule": "0 2 * * * *"}, "five fields"),
        ({"schedule": "@daily"}, "five fields"),
        ({"schedule": "61 2 * * *"}, "five fields"),
        ({"schedule": ""}, "five fields"),
        ({"timezone": "Mars/Olympus"}, "not a time zone name"),
        ({"timezone": "../etc/passwd"}, "not a time zone name"),
        ({"timezone": ""}, "not a time zone name"),
        ({"shedule": "0 2 * * *"}, "shedule"),
        ({"load_params": {"write_disposition": "UPSERT"}}, "WRITE_TRUNCATE"),
        ({"load_params": {"max_bad_records": -1}}, "max_bad_records"),
        ({"transformation_params": {"deduplicate": {"keys": []}}}, "deduplicate"),
    ],
)
def test_a_configuration_that_cannot_work(sent: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PipelineConfiguration.model_validate(sent)


@pytest.mark.parametrize(
    ("cron", "why"), [("0 0 30 2 *", "never happens"), ("0 0 31 4,6 *", "never happens"), ("R * * * *", "random time")]
)
def test_schedules_that_would_not_run_when_they_say(cron: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        PipelineConfiguration(schedule=cron)


@pytest.mark.parametrize(
    "cron", ["0 2 * * *", "0 0 29 2 *", "0 2 * mar fri", "*/15 8-18 * * 1-5", "0 0 1,15 * *", "0 0 * jan sun"]
)
def test_cron_expressions(cron: str) -> None:
    assert PipelineConfiguration(schedule=cron).schedule == cron


def test_a_pipeline_without_extraction_params_has_none_set() -> None:
    assert a_pipeline(configuration={}).extraction(SourceType.GCS) == FileExtraction()
    assert a_pipeline(configuration={}).settings() == PipelineConfiguration()
