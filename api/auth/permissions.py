"""The one table of who may do what (wire decision 14)."""

from __future__ import annotations

from collections.abc import Mapping

SOURCE_READ = "source:read"
SOURCE_CREATE = "source:create"
SOURCE_UPDATE = "source:update"
SOURCE_DELETE = "source:delete"
SOURCE_TEST = "source:test"
PIPELINE_READ = "pipeline:read"
PIPELINE_CREATE = "pipeline:create"
PIPELINE_UPDATE = "pipeline:update"
PIPELINE_DELETE = "pipeline:delete"
PIPELINE_EXECUTE = "pipeline:execute"
EXECUTION_READ = "execution:read"
EXECUTION_CANCEL = "execution:cancel"
EXECUTION_RETRY = "execution:retry"

READ: frozenset[str] = frozenset({SOURCE_READ, PIPELINE_READ, EXECUTION_READ})
ALL: frozenset[str] = READ | {
    SOURCE_CREATE,
    SOURCE_UPDATE,
    SOURCE_DELETE,
    SOURCE_TEST,
    PIPELINE_CREATE,
    PIPELINE_UPDATE,
    PIPELINE_DELETE,
    PIPELINE_EXECUTE,
    EXECUTION_CANCEL,
    EXECUTION_RETRY,
}

ROLES: Mapping[str, frozenset[str]] = {
    "admin": ALL,
    "data_engineer": ALL,
    "monitoring_user": READ,
    "read_only": READ,
}
"""What each role grants. Roles that grant the same today part ways where monitoring and administration begin."""
