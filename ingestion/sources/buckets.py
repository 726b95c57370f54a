"""What every kind of bucket offers, and the choice between folders and Google Cloud Storage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ingestion.model.connections import GcsConnection
from ingestion.sources.base import ConnectorContext, ObjectVersion

Tick = Callable[[], None]


class Bucket(Protocol):
    """A bucket. All methods raise ExecutionFailure subclasses; those that wait take their limit in seconds."""

    def objects(self, pattern: str, timeout_seconds: float) -> list[ObjectVersion]:
        """The objects whose names match the glob, by name. Raises FileMissing when there is no such bucket."""
        ...

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        """Copy exactly this version, or its first `limit` bytes, to `path`. Raises SourceChanged when it is gone."""
        ...

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        """Read one byte, to prove the right to read."""
        ...


def bucket_for(
    connection: GcsConnection, context: ConnectorContext, environment: Mapping[str, str] | None = None
) -> Bucket:
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
