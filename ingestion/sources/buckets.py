"""The choice between folders and Google Cloud Storage."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ingestion.model.connections import GcsConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.file_store import FileStore


def bucket_for(
    connection: GcsConnection, context: ConnectorContext, environment: Mapping[str, str] | None = None
) -> FileStore:
    """A folder below `buckets_dir` when nothing leads to Google Cloud Storage, else the real client.

    An endpoint (the source's, the deployment's, or STORAGE_EMULATOR_HOST) is spoken to without credentials.
    """
    variables = os.environ if environment is None else environment
    endpoint = connection.endpoint or context.gcs_endpoint or variables.get("STORAGE_EMULATOR_HOST")
    if endpoint is None and not has_google_credentials(variables):
        from ingestion.sources.bucket_folders import FolderBucket

        return FolderBucket(context.buckets_dir / connection.bucket_name)
    from ingestion.sources.google_buckets import GoogleBucket

    return GoogleBucket(connection.bucket_name, connection.project_id, endpoint)


def has_google_credentials(environment: Mapping[str, str]) -> bool:
    """Whether Google credentials are set by a variable or by gcloud's default file."""
    if environment.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return True
    home = environment.get("HOME")
    folder = environment.get("CLOUDSDK_CONFIG") or (home and os.path.join(home, ".config", "gcloud"))
    return bool(folder) and os.path.isfile(os.path.join(str(folder), "application_default_credentials.json"))
