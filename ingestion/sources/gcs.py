"""Files in Google Cloud Storage buckets, or in the folders that stand for them."""

from __future__ import annotations

from ingestion.model.connections import GcsConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.buckets import bucket_for
from ingestion.sources.files import FileConnector


class GcsConnector(FileConnector):
    """Reads the objects of one bucket whose names match a pattern."""

    def __init__(self, connection: GcsConnection, context: ConnectorContext) -> None:
        place = {"bucket": connection.bucket_name}
        super().__init__(lambda: bucket_for(connection, context), connection.file_pattern, place, context.now)
