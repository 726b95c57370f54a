"""The choice between folders and Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ingestion.model.connections import GcsConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.bucket_folders import FolderBucket
from ingestion.sources.buckets import bucket_for
from ingestion.sources.google_buckets import GoogleBucket

PLAIN = GcsConnection(bucket_name="b")


def test_without_anything_set_a_bucket_is_a_folder(context: ConnectorContext) -> None:
    assert isinstance(bucket_for(PLAIN, context, {}), FolderBucket)


@pytest.mark.parametrize(
    "environment", [{"STORAGE_EMULATOR_HOST": "http://h:1"}, {"GOOGLE_APPLICATION_CREDENTIALS": "key.json"}]
)
def test_the_environment_leads_to_google(context: ConnectorContext, environment: Mapping[str, str]) -> None:
    assert isinstance(bucket_for(PLAIN, context, environment), GoogleBucket)


def test_an_endpoint_leads_to_it(context: ConnectorContext) -> None:
    assert isinstance(bucket_for(PLAIN, replace(context, gcs_endpoint="http://h:1"), {}), GoogleBucket)
    connection = GcsConnection(bucket_name="b", endpoint="http://h:1")
    assert isinstance(bucket_for(connection, context, {}), GoogleBucket)
