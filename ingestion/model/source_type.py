"""The kinds of sources."""

from __future__ import annotations

from enum import StrEnum


class SourceType(StrEnum):
    """The contract's source types, in its order."""

    GCS = "GCS"
    CLOUD_SQL = "CLOUD_SQL"
    BIGQUERY = "BIGQUERY"
    API = "API"
    SFTP = "SFTP"
    CUSTOM = "CUSTOM"
