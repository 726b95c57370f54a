"""The job of a pipeline, as Dagster's Launchpad and run pages show it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import dagster as dg
import pytest
from dagster import validate_run_config

from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source, SourceType
from ingestion.orchestration import tags
from ingestion.orchestration.jobs import build_job
from ingestion.orchestration.resources import DuckDbWarehouseResource, SourceResource, source_fields
from ingestion_tests.orchestration.deployment import a_pipeline, a_source


@pytest.fixture
def job() -> dg.JobDefinition:
    source = a_source()
    return job_of(a_pipeline(source, "sales", description="Daily sales"), source)


def job_of(pipeline: Pipeline, source: Source) -> dg.JobDefinition:
    resource = SourceResource(**source_fields(source))
    return build_job(pipeline, source, "shop", resource, DuckDbWarehouseResource(folder="w"))


def test_it_is_named_described_and_tagged(job: dg.JobDefinition) -> None:
    assert job.name == "gcs_to_bq_sales"
    assert "Daily sales" in (job.description or "")
    assert "shop.sales" in (job.description or "")
    assert job.tags[tags.TARGET] == "shop.sales"
    assert job.tags[tags.MAX_RETRIES] == "0"
    assert {tags.PIPELINE_ID, tags.SOURCE_ID} <= set(job.tags)
    assert job.executor_def is dg.in_process_executor


def test_its_ops_are_the_tasks_in_their_order(job: dg.JobDefinition) -> None:
    names = [node.name for node in job.nodes_in_topological_order]

    assert names == ["extract_from_gcs", "transform_data", "load_to_bigquery", "validate_data_quality"]
    for before, after in pairwise(names):
        [(_, outputs)] = job.dependency_structure.input_to_upstream_outputs_for_node(after).items()
        assert [output.node_name for output in outputs] == [before]


def test_a_database_source_has_its_own_first_task() -> None:
    source = a_source(source_type=SourceType.CLOUD_SQL, connection_details={"host": "h", "database": "d"})
    pipeline = a_pipeline(source, "t", {"extraction_params": {"table": "t"}})

    job = job_of(pipeline, source)

    assert job.nodes_in_topological_order[0].name == "extract_from_cloud_sql"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"batch_size": 10, "include_deleted": True, "start_date": "2026-01-01", "end_date": "2026-01-31"},
        {"anything": {"else": [1, "two"]}},
    ],
)
def test_the_launchpad_takes_execution_params_as_they_are(job: dg.JobDefinition, params: dict[str, Any]) -> None:
    assert validate_run_config(job, params) is not None


@pytest.mark.parametrize("params", [{"batch_size": "many"}, {"include_deleted": "yes"}, {"start_date": 20260101}])
def test_the_launchpad_refuses_wrong_types(job: dg.JobDefinition, params: dict[str, Any]) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError):
        validate_run_config(job, params)
