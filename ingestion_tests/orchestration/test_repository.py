"""Definitions made from the store: what Dagster finds, and what one bad row does to it."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.definitions.repository_definition import RepositoryDefinition
from dagster._core.remote_representation.external_data import RepositorySnap

from ingestion.model.source import Source
from ingestion.orchestration.repository import StoreRepository
from ingestion.orchestration.services import Services
from ingestion_tests.orchestration.deployment import a_pipeline, a_source

SCHEDULED = {"schedule": "0 2 * * *", "timezone": "Europe/Berlin", "extraction_params": {"file_pattern": "*.csv"}}


@pytest.fixture
def repository(here: Services) -> StoreRepository:
    return StoreRepository(lambda: here)


def test_it_follows_the_store_without_a_reload(here: Services, repository: StoreRepository, source: Source) -> None:
    assert list(repository.job_names) == []

    stored = here.store.pipelines.add(a_pipeline(source, "sales", SCHEDULED))

    assert list(repository.job_names) == ["gcs_to_bq_sales"]
    assert repository.has_job("gcs_to_bq_sales")
    assert not repository.has_job("other")
    assert [schedule.name for schedule in repository.schedule_defs] == ["gcs_to_bq_sales_schedule"]
    assert repository.has_schedule_def("gcs_to_bq_sales_schedule")
    assert not repository.has_schedule_def("gcs_to_bq_sales")
    assert repository.get_schedule_def("gcs_to_bq_sales_schedule").execution_timezone == "Europe/Berlin"
    assert dg.AssetKey(["shop", "sales"]) in repository.asset_graph.get_all_asset_keys()
    before = repository.get_job("gcs_to_bq_sales")
    assert repository.get_job("gcs_to_bq_sales") is before

    here.store.pipelines.update(stored.model_copy(update={"configuration": {}, "description": "new"}), stored.revision)

    assert "new" in (repository.get_job("gcs_to_bq_sales").description or "")
    assert list(repository.schedule_defs) == []


def test_unknown_names_are_errors(repository: StoreRepository) -> None:
    with pytest.raises(dg.DagsterInvariantViolationError, match="no pipeline has this dag_id"):
        repository.get_job("nothing")
    with pytest.raises(dg.DagsterInvariantViolationError, match="Could not find schedule"):
        repository.get_schedule_def("nothing_schedule")


def test_one_job_is_built_for_one_job(here: Services, repository: StoreRepository, source: Source) -> None:
    for number in range(5):
        here.store.pipelines.add(a_pipeline(source, f"table_{number}"))

    repository.get_job("gcs_to_bq_table_3")

    assert list(repository._data._jobs._built) == ["gcs_to_bq_table_3"]


def test_a_row_that_cannot_be_built_is_a_broken_job(
    here: Services, repository: StoreRepository, source: Source
) -> None:
    here.store.pipelines.add(a_pipeline(source, "good"))
    here.store.pipelines.add(a_pipeline(source, "bad", {"schedule": "sometimes"}))

    assert [job.name for job in repository.get_all_jobs()] == ["gcs_to_bq_bad", "gcs_to_bq_good"]
    broken = repository.get_job("gcs_to_bq_bad")
    assert "sometimes" in (broken.description or "")
    assert list(repository.schedule_defs) == []
    assert dg.AssetKey(["shop", "good"]) in repository.asset_graph.get_all_asset_keys()
    result = broken.execute_in_process(raise_on_error=False)
    assert not result.success
    assert "The job cannot be built" in str(result.get_step_failure_events()[0].event_specific_data)


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")
def test_the_snapshot_shows_resources_with_their_use(
    here: Services, repository: StoreRepository, source: Source
) -> None:
    unused = a_source(
        "Customer DB",
        source_type="CLOUD_SQL",
        connection_details={
            "host": "db",
            "database": "c",
            "credentials": {"username": "u", "password_secret": "env://DB_PASSWORD"},
        },
    )
    here.store.sources.add(unused)
    here.store.pipelines.add(a_pipeline(source, "sales", SCHEDULED))

    snap = RepositorySnap.from_def(repository, defer_snapshots=True)

    shown = {resource.name: resource for resource in snap.resources or []}
    assert set(shown) == {"customer_db", "sales_data_bucket", "warehouse"}
    used = {
        entry.job_name: [str(handle) for handle in entry.node_handles]
        for entry in shown["sales_data_bucket"].job_ops_using
    }
    assert used == {"gcs_to_bq_sales": ["extract_from_gcs"]}
    assert [str(handle) for entry in shown["warehouse"].job_ops_using for handle in entry.node_handles] == [
        "load_to_bigquery",
        "validate_data_quality",
    ]
    assert shown["customer_db"].job_ops_using == []
    assert "env://DB_PASSWORD" in str(shown["customer_db"].configured_values)


def test_canary_the_asset_graph_is_still_one_property_that_we_replace() -> None:
    for owner in (RepositoryDefinition, StoreRepository):
        assert type(vars(owner)["asset_graph"]) is property
