"""Sources and the warehouse at Google as the resources of dagster-gcp, which Dagster users know.

Importing this imports Google's clients, some 60 MB of them: only where such a resource exists. The clients are made as
the connectors make theirs: by the identity of the source, and at the endpoint of the deployment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster_gcp import BigQueryResource, GCSResource
from google.cloud import bigquery, storage
from pydantic import Field

from ingestion.google_credentials import google_login
from ingestion.model.connections import BigQueryConnection, GcsConnection
from ingestion.model.connections.google import GoogleAccess
from ingestion.model.source import Source
from ingestion.orchestration.resources import SourceFields, source_fields
from ingestion.orchestration.services import services
from ingestion.settings import Settings
from ingestion.sources.base import ConnectorContext
from ingestion.sources.buckets import client_for


class GcsSourceResource(GCSResource, SourceFields):
    """A stored source of type GCS. `get_client()` is a Google Cloud Storage client with the source's identity."""

    @classmethod
    def of(cls, source: Source) -> "GcsSourceResource":
        """The resource of a stored source."""
        return cls(project=source.connection_details.get("project_id"), **source_fields(source))

    def get_client(self) -> storage.Client:
        """A client by the source's connection details. Raises ExecutionFailure without an identity."""
        return client_for(GcsConnection.model_validate(self.connection_details), services().context)

    def get_object_to_set_on_execution_context(self) -> Any:
        """The resource itself: a client is made when it is asked for, not for every run."""
        return self


class BigQuerySourceResource(BigQueryResource, SourceFields):
    """A stored source of type BIGQUERY. `get_client()` is a BigQuery client with the source's identity."""

    @classmethod
    def of(cls, source: Source) -> "BigQuerySourceResource":
        """The resource of a stored source."""
        details = source.connection_details
        return cls(project=details.get("project_id"), location=details.get("location"), **source_fields(source))

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        """A client by the source's connection details. Raises ExecutionFailure without an identity."""
        connection = BigQueryConnection.model_validate(self.connection_details)
        access = connection if isinstance(connection, GoogleAccess) else GoogleAccess()
        with _bigquery_client(access, self.project, self.location) as client:
            yield client

    def get_object_to_set_on_execution_context(self) -> Any:
        """The resource itself: a client is made when it is asked for, not for every run."""
        return self


class BigQueryWarehouseResource(BigQueryResource):
    """The deployment's warehouse in BigQuery."""

    staging_bucket: str | None = Field(default=None, description="Where Parquet files wait to be loaded.")

    @classmethod
    def of(cls, settings: Settings) -> "BigQueryWarehouseResource":
        """The resource of the settings' warehouse."""
        return cls(
            project=settings.bigquery_project,
            location=settings.bigquery_location,
            staging_bucket=settings.bigquery_staging_bucket,
        )

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        """A client by the deployment's identity. Raises ExecutionFailure without one."""
        with _bigquery_client(GoogleAccess(), self.project, self.location) as client:
            yield client

    def get_object_to_set_on_execution_context(self) -> Any:
        """The resource itself: a client is made when it is asked for, not for every run."""
        return self


@contextmanager
def _bigquery_client(access: GoogleAccess, project: str | None, location: str | None) -> Iterator[bigquery.Client]:
    settings = services().settings
    context: ConnectorContext = services().context
    endpoint = settings.bigquery_endpoint
    login = google_login(access, context.resolve_secret, context.google_credentials, endpoint=endpoint)
    with bigquery.Client(
        project=project or login.project_id,
        location=location,
        credentials=login.credentials,
        client_options={"api_endpoint": endpoint} if endpoint else None,
    ) as client:
        yield client
