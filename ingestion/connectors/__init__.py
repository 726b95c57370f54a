"""What the author of a connector needs: a base class, the request it answers, and the errors it may raise.

An installed package offers its connectors as entry points of the group `ingestion.connectors`; a source of type
CUSTOM names one. `ingestion.connectors.contract` holds the tests every connector has to pass.
"""

from __future__ import annotations

from ingestion.connectors.base import CustomConnector, NoParams, ReadRequest, Rows
from ingestion.connectors.entry_points import GROUP, installed_connectors, load_connector
from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    ObjectMissing,
    ParseFailed,
    QueryFailed,
    RateLimited,
    SourceAuthenticationFailed,
    SourceChanged,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)

__all__ = [
    "GROUP",
    "ConnectionFailed",
    "CustomConnector",
    "ExecutionFailure",
    "NoParams",
    "ObjectMissing",
    "ParseFailed",
    "QueryFailed",
    "RateLimited",
    "ReadRequest",
    "Rows",
    "SourceAuthenticationFailed",
    "SourceChanged",
    "SourcePermissionDenied",
    "TimedOut",
    "TlsFailed",
    "installed_connectors",
    "load_connector",
]
