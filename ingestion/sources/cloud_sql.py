"""Where a database is reached: at its host or unix socket, or as a Cloud SQL instance through a local forwarder.

Google's connector only hands connections to some Python drivers. So its parts are used to learn the instance's
address and certificates, and a unix socket in a private folder leads there: any driver sees a plain socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingestion.errors import ConnectionFailed, ExecutionFailure
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext

CONNECT_SECONDS = 20.0


def _no_failure() -> ExecutionFailure | None:
    return None


@dataclass(frozen=True)
class Endpoint:
    """A server as any driver can reach it: `host` (and `port`), or `unix_socket` as a path.

    Through a forwarder nothing is left to encrypt: it does that itself, over TLS with the instance's own certificate.
    `failure` is why its last connection was not made, for the driver only sees that it was closed; `user` is the
    database user that a login by IAM has, where that is not the one of the credentials.
    """

    host: str | None = None
    port: int | None = None
    unix_socket: str | None = None
    user: str | None = None
    is_forwarded: bool = False
    failure: Callable[[], ExecutionFailure | None] = _no_failure


@contextmanager
def endpoint_of(
    connection: CloudSqlConnection,
    context: ConnectorContext,
    check: Callable[[], None] = lambda: None,
    *,
    seconds: float = CONNECT_SECONDS,
) -> Iterator[Endpoint]:
    """The endpoint, while in the block. `check` is called while it takes time, and may raise to end that.

    Nothing is connected to at a host or a socket. An instance is connected to once, so that what hinders that is told
    here: ConnectionFailed, TlsFailed, TimedOut, ObjectMissing, SourcePermissionDenied, SourceAuthenticationFailed.
    """
    if connection.unix_socket is not None:
        yield Endpoint(port=connection.port, unix_socket=connection.unix_socket)
        return
    if connection.host is not None:
        yield Endpoint(host=connection.host, port=connection.port)
        return
    from ingestion.sources.cloud_sql_forwarder import forwarded

    with forwarded(connection, context, check, seconds) as (path, user, failure):
        yield Endpoint(unix_socket=path, user=user, is_forwarded=True, failure=failure)


def instance_path(connection: CloudSqlConnection, default_project: str | None) -> tuple[str, str, str]:
    """(project, region, instance). Raises ConnectionFailed naming what is missing."""
    name = connection.instance_name or ""
    if ":" in name:
        project, region, instance = name.rsplit(":", 2) if name.count(":") >= 2 else ("", "", "")
    else:
        project, region, instance = connection.project_id or default_project or "", connection.region or "", name
    missing = [part for part, value in (("project_id", project), ("region", region)) if not value]
    if missing:
        raise ConnectionFailed(
            f"The Cloud SQL instance '{name}' cannot be found without {' and '.join(missing)}: set it in "
            f"connection_details, or give instance_name as project:region:instance"
        )
    return project, region, instance
