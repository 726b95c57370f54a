"""Files on SFTP servers."""

from __future__ import annotations

from ingestion.model.connections import SftpConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.files import FileConnector
from ingestion.sources.sftp_store import SftpStore


class SftpConnector(FileConnector):
    """Reads the files of one server and folder whose names match a pattern."""

    def __init__(self, connection: SftpConnection, context: ConnectorContext) -> None:
        place = {"host": connection.host, "remote_path": connection.remote_path or "."}
        super().__init__(
            lambda: SftpStore(connection, context.resolve_secret), connection.file_pattern, place, context.now
        )
