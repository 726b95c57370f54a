import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster_gcp import BigQueryResource, GCSResource

from ingestion.model.source import SourceType
from ingestion.orchestration.google_resources import BigQuerySourceResource, GcsSourceResource
from ingestion.orchestration.resources import (
    DuckDbWarehouseResource,
    SourceResource,
    resource_keys,
    source_resource,
    warehouse_resource,
)
from ingestion.orchestration.services import Services
from ingestion.settings import Settings
from ingestion_tests.orchestration.deployment import a_source
from ingestion_tests.servers.gcs import FakeGcs, fake_gcs

__all__ = ["fake_gcs"]


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without an identity at Google."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


@pytest.fixture
def here(tmp_path: Path) -> Services:
    return Services(Settings(home=tmp_path))


def test_a_bucket_that_is_a_folder_is_no_resource_of_google(here: Services) -> None:
    resource = source_resource(a_source(), here.context)
    assert type(resource) is SourceResource
    assert resource.source_type == "GCS"


def test_a_bucket_at_google_is_a_gcs_resource_with_the_clients_of_the_connector(
    here: Services, fake_gcs: FakeGcs
) -> None:
    fake_gcs.put("resource-bucket", "a.csv", b"id\n1\n")
    details = {"bucket_name": "resource-bucket", "endpoint": fake_gcs.endpoint, "project_id": "shop"}
    resource = source_resource(a_source(connection_details=details), here.context)
    assert isinstance(resource, GCSResource)
    assert isinstance(resource, GcsSourceResource)
    assert (resource.project, resource.connection_details) == ("shop", details)

    @dg.op(required_resource_keys={"shop"})
    def listing(context: dg.OpExecutionContext) -> list[str]:
        with context.resources.shop.get_client() as client:
            return [blob.name for blob in client.list_blobs("resource-bucket")]

    @dg.job(resource_defs={"shop": resource})
    def job() -> None:
        listing()

    assert job.execute_in_process().output_for_node("listing") == ["a.csv"]


def test_a_source_and_a_warehouse_in_bigquery_are_bigquery_resources(here: Services, tmp_path: Path) -> None:
    details = {"project_id": "shop", "dataset": "sales", "location": "EU"}
    source = source_resource(a_source(source_type=SourceType.BIGQUERY, connection_details=details), here.context)
    assert isinstance(source, BigQueryResource)
    assert isinstance(source, BigQuerySourceResource)
    assert (source.project, source.location, source.gcp_credentials) == ("shop", "EU", None)
    assert isinstance(warehouse_resource(Settings(home=tmp_path)), DuckDbWarehouseResource)
    settings = Settings(
        home=tmp_path, warehouse="bigquery", bigquery_project="shop", bigquery_staging_bucket="gs://staging/x"
    )
    warehouse = warehouse_resource(settings)
    assert isinstance(warehouse, BigQueryResource)
    assert warehouse.project == "shop"


def test_a_run_opens_no_client_that_is_not_asked_for(here: Services) -> None:
    details = {"bucket_name": "b", "credentials_secret": "env://NOT_SET"}
    resource = source_resource(a_source(connection_details=details), here.context)

    @dg.op(required_resource_keys={"shop"})
    def naming(context: dg.OpExecutionContext) -> str:
        return type(context.resources.shop).__name__

    @dg.job(resource_defs={"shop": resource})
    def job() -> None:
        naming()

    assert job.execute_in_process().output_for_node("naming") == "GcsSourceResource"


def test_a_source_that_is_not_valid_any_more_has_a_resource_still(here: Services) -> None:
    resource = source_resource(a_source(connection_details={"endpoint": "gone"}), here.context)
    assert type(resource) is SourceResource


def test_google_is_imported_only_for_what_is_there() -> None:
    code = "import sys, ingestion.definitions; print([name for name in sys.modules if 'google.cloud' in name])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "[]"


def test_keys_are_the_names_made_fit_for_dagster() -> None:
    keys = resource_keys([("1", "Sales Data Bucket"), ("2", "Größe/2024"), ("3", "2024 files"), ("4", "???")])

    assert keys == {"1": "sales_data_bucket", "2": "gr_e_2024", "3": "source_2024_files", "4": "source"}


def test_names_that_look_alike_get_numbers_in_their_order() -> None:
    keys = resource_keys([("a", "Orders"), ("b", "orders"), ("c", "Orders!"), ("d", "warehouse")])

    assert keys == {"a": "orders", "b": "orders_2", "c": "orders_3", "d": "warehouse_2"}
