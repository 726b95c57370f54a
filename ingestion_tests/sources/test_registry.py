"""From a stored source to its connector."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.sources.api.connector import ApiConnector
from ingestion.sources.base import ConnectorContext
from ingestion.sources.bigquery import BigQueryConnector
from ingestion.sources.gcs import GcsConnector
from ingestion.sources.mysql import MysqlConnector
from ingestion.sources.postgres import PostgresConnector
from ingestion.sources.registry import connector_for
from ingestion.sources.sftp import SftpConnector
from ingestion_tests.sources.conftest import AT

SFTP = {"host": "h", "username": "u", "password_secret": "env://PW", "trust_any_host_key": True}
DATABASE = {"host": "h", "database": "d"}


def source(kind: str, details: dict[str, Any]) -> Source:
    return Source(
        source_id="s",
        name="n",
        source_type=SourceType(kind),
        connection_details=details,
        schema_version="1.0",
        description=None,
        is_active=True,
        created_at=AT,
        updated_at=AT,
        created_by="x",
        updated_by="x",
        status=SourceStatus.UNKNOWN,
        version=1,
    )


@pytest.mark.parametrize(
    ("kind", "details", "connector"),
    [
        ("GCS", {"bucket_name": "b"}, GcsConnector),
        ("SFTP", SFTP, SftpConnector),
        ("CLOUD_SQL", DATABASE, PostgresConnector),
        ("BIGQUERY", {"project_id": "p", "dataset": "d"}, BigQueryConnector),
        ("API", {"endpoint_url": "https://example.com"}, ApiConnector),
        ("CLOUD_SQL", DATABASE | {"engine": "POSTGRESQL"}, PostgresConnector),
        ("CLOUD_SQL", DATABASE | {"engine": "MYSQL"}, MysqlConnector),
    ],
)
def test_what_can_be_read(context: ConnectorContext, kind: str, details: dict[str, Any], connector: type) -> None:
    assert isinstance(connector_for(source(kind, details), context), connector)
