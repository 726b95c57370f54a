"""`connection_details`: one model per source type."""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.model.connections.api import ApiConnection
from ingestion.model.connections.base import ConnectionDetails
from ingestion.model.connections.bigquery import BigQueryConnection
from ingestion.model.connections.cloud_sql import CloudSqlConnection, DatabaseCredentials, Engine
from ingestion.model.connections.custom import CustomConnection
from ingestion.model.connections.gcs import GcsConnection
from ingestion.model.connections.sftp import SftpConnection
from ingestion.model.source_type import SourceType

CONNECTION_MODELS: Mapping[SourceType, type[ConnectionDetails]] = {
    SourceType.GCS: GcsConnection,
    SourceType.CLOUD_SQL: CloudSqlConnection,
    SourceType.BIGQUERY: BigQueryConnection,
    SourceType.API: ApiConnection,
    SourceType.SFTP: SftpConnection,
    SourceType.CUSTOM: CustomConnection,
}

__all__ = [
    "CONNECTION_MODELS",
    "ApiConnection",
    "BigQueryConnection",
    "CloudSqlConnection",
    "ConnectionDetails",
    "CustomConnection",
    "DatabaseCredentials",
    "Engine",
    "GcsConnection",
    "SftpConnection",
]
