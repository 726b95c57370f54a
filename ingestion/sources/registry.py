"""From a stored source to the connector that reads it."""

from __future__ import annotations

from ingestion.model.connections import (
    ApiConnection,
    BigQueryConnection,
    CloudSqlConnection,
    CustomConnection,
    Engine,
    GcsConnection,
    SftpConnection,
)
from ingestion.model.source import Source
from ingestion.sources.base import Connector, ConnectorContext


def connector_for(source: Source, context: ConnectorContext) -> Connector:
    """The source's connector, which opens nothing yet."""
    connection = source.connection()
    if isinstance(connection, GcsConnection):
        from ingestion.sources.gcs import GcsConnector

        return GcsConnector(connection, context)
    if isinstance(connection, CloudSqlConnection):
        if connection.engine is Engine.MYSQL:
            from ingestion.sources.mysql import MysqlConnector

            return MysqlConnector(connection, context)
        from ingestion.sources.postgres import PostgresConnector

        return PostgresConnector(connection, context)
    if isinstance(connection, BigQueryConnection):
        from ingestion.sources.bigquery import BigQueryConnector

        return BigQueryConnector(connection, context)
    if isinstance(connection, SftpConnection):
        from ingestion.sources.sftp import SftpConnector

        return SftpConnector(connection, context)
    if isinstance(connection, ApiConnection):
        from ingestion.sources.api.connector import ApiConnector

        return ApiConnector(connection, context)
    assert isinstance(connection, CustomConnection)
    from ingestion.sources.custom import InstalledConnector

    return InstalledConnector(connection, context)
