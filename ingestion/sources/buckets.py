"""The choice between folders and Google Cloud Storage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ingestion.google_credentials import google_login, has_default_credentials
from ingestion.model.connections import GcsConnection
from ingestion.model.connections.google import GoogleAccess
from ingestion.sources.base import ConnectorContext
from ingestion.sources.file_store import FileStore

if TYPE_CHECKING:
    from google.cloud import storage


def bucket_for(
    connection: GcsConnection, context: ConnectorContext, environment: Mapping[str, str] | None = None
) -> FileStore:
    """A folder below `buckets_dir` when nothing leads to Google Cloud Storage, else the real client."""
    variables = os.environ if environment is None else environment
    if not leads_to_google(connection, context, variables):
        from ingestion.sources.bucket_folders import FolderBucket

        return FolderBucket(context.buckets_dir / connection.bucket_name)
    from ingestion.sources.google_buckets import GoogleBucket

    endpoint = endpoint_of(connection, context, variables)
    return GoogleBucket(connection.bucket_name, lambda: client_for(connection, context, variables), endpoint)


def leads_to_google(
    connection: GcsConnection, context: ConnectorContext, environment: Mapping[str, str] | None = None
) -> bool:
    """Whether a source's bucket is in Google Cloud Storage or at an endpoint, rather than a folder."""
    variables = os.environ if environment is None else environment
    return (
        connection.has_own_identity
        or endpoint_of(connection, context, variables) is not None
        or has_default_credentials(context.google_credentials, variables)
    )


def client_for(
    connection: GcsConnection, context: ConnectorContext, environment: Mapping[str, str] | None = None
) -> storage.Client:
    """The client of a source. Its own identity is not shown to an endpoint that only the deployment names."""
    from ingestion.sources.google_buckets import storage_client

    endpoint = endpoint_of(connection, context, os.environ if environment is None else environment)
    access = connection if endpoint == connection.endpoint else GoogleAccess()
    login = google_login(access, context.resolve_secret, context.google_credentials, endpoint=endpoint)
    return storage_client(login, connection.project_id, endpoint)


def endpoint_of(connection: GcsConnection, context: ConnectorContext, environment: Mapping[str, str]) -> str | None:
    """The server in place of Google's usual one: the source's, the deployment's, or an emulator's by its variable."""
    return connection.endpoint or context.gcs_endpoint or environment.get("STORAGE_EMULATOR_HOST")
