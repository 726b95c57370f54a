"""Dagster's web app, for mounting under /dagster in another ASGI application."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from dagster import DagsterInstance
from dagster_webserver.webserver import DagsterWebserver

from ingestion.orchestration.instance import open_instance
from ingestion.orchestration.workspace import FollowingWorkspace
from ingestion.processes.sockets import CODE_SOCKET, socket_path
from ingestion.settings import Settings
from ingestion.store import Store

PATH_PREFIX = "/dagster"

Message = MutableMapping[str, Any]
ASGIApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True)
class DagsterMount:
    """Dagster's web app and what keeps it alive.

    `app` answers below PATH_PREFIX by itself, so it is mounted at "/" after all other routes. It is usable, with an
    error in place of the jobs, while the code server is away, and recovers by itself.
    """

    app: ASGIApp
    instance: DagsterInstance
    workspace: FollowingWorkspace
    store: Store

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.workspace.close()
        self.store.close()
        self.instance.dispose()


def create_dagster_app(settings: Settings) -> DagsterMount:
    """Dagster's web app over the home's code server. Blocks while it connects; starts a few threads."""
    instance = open_instance(settings)
    store = Store.open(settings.store_url)
    workspace = FollowingWorkspace(instance, socket_path(settings, CODE_SOCKET), store.pipelines.change_token)
    server: DagsterWebserver[FollowingWorkspace, object] = DagsterWebserver(workspace, PATH_PREFIX)  # type: ignore[type-var]
    return DagsterMount(app=server.create_asgi_app(), instance=instance, workspace=workspace, store=store)
