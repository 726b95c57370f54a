"""The workspace of the webserver and the daemon: one code location, followed as the store and the server change.

Three things differ from Dagster's own workspace, each by subclassing:
- job snapshots are fetched when somebody looks at a job, not all of them at every load;
- the location is loaded again when the store's definitions changed, and retried while the server is away;
- a server that is not there yet is an error entry of the workspace, not a Python warning.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster._core.remote_origin import CodeLocationOrigin, GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.remote_representation.external_data import (
    RepositoryErrorSnap,
    RepositorySnap,
    extract_serialized_job_snap_from_serialized_job_data_snap,
)
from dagster._core.remote_representation.handle import RepositoryHandle
from dagster._core.snap import JobSnap
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._core.workspace.workspace import CodeLocationEntry, CodeLocationLoadStatus, DefinitionsSource
from dagster._grpc.client import DagsterGrpcClient
from dagster._serdes import deserialize_value
from dagster._time import get_current_timestamp
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from ingestion.errors import ServiceUnavailable
from ingestion.orchestration.tags import LOCATION_NAME

FOLLOW_SECONDS = 1.0
"""How often a workspace asks the store whether definitions have changed."""

logger = logging.getLogger("ingestion.workspace")


def _user_code_error(info: SerializableErrorInfo | None) -> Exception:
    error: Exception = DagsterUserCodeProcessError.from_error_info(info)  # type: ignore[no-untyped-call]
    return error


class JobSnapshots(dict[str, JobSnap]):
    """Snapshots of one repository's jobs by name, fetched from the code server at first use."""

    def __init__(self, client: DagsterGrpcClient, origin: RemoteRepositoryOrigin) -> None:
        super().__init__()
        self._client = client
        self._origin = origin

    def __missing__(self, name: str) -> JobSnap:
        reply = self._client.external_job(self._origin, name)
        if not reply.serialized_job_data:
            raise _user_code_error(deserialize_value(reply.serialized_error, SerializableErrorInfo))
        serialized = extract_serialized_job_snap_from_serialized_job_data_snap(reply.serialized_job_data)
        self[name] = deserialize_value(serialized, JobSnap)
        return self[name]


class LazyCodeLocation(GrpcServerCodeLocation):
    """A code location that knows its jobs by reference only.

    The stock one fetches every job's snapshot while it is made. It sees no repository until then, and this class
    loads them afterwards.
    """

    def __init__(self, origin: CodeLocationOrigin, instance: dg.DagsterInstance) -> None:
        self._names: set[str] = set()
        self._names_are_hidden = True
        super().__init__(origin, instance)
        self._names_are_hidden = False
        for name in self.repository_names:
            self.remote_repositories[name] = self._load(name)

    @property
    def repository_names(self) -> set[str]:
        """Names of the location's repositories."""
        return set() if self._names_are_hidden else self._names

    @repository_names.setter
    def repository_names(self, names: set[str]) -> None:
        self._names = names

    def _load(self, name: str) -> RemoteRepository:
        origin = RemoteRepositoryOrigin(self.origin, name)
        reply = self.client.external_repository(remote_repository_origin=origin, defer_snapshots=True)
        snap = deserialize_value(reply, (RepositorySnap, RepositoryErrorSnap))
        if isinstance(snap, RepositoryErrorSnap):
            raise _user_code_error(snap.error)
        self._job_snaps_by_name[name] = JobSnapshots(self.client, origin)
        return RemoteRepository(
            snap,
            RepositoryHandle.from_location(repository_name=name, code_location=self),
            auto_materialize_use_sensors=self._instance.auto_materialize_use_sensors,
            ref_to_data_fn=partial(self._job_ref_to_snap, name),
        )


class CodeServerTarget(WorkspaceLoadTarget):
    """The home's code server."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def create_origins(self) -> Sequence[CodeLocationOrigin]:
        """The one location."""
        return [
            GrpcServerCodeLocationOrigin(host="localhost", socket=str(self._socket), location_name=LOCATION_NAME),
        ]


class FollowingWorkspace(WorkspaceProcessContext):
    """The workspace of one home. `change_token` is the store's: it differs whenever definitions have changed."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        socket: Path,
        change_token: Callable[[], str],
        follow_seconds: float = FOLLOW_SECONDS,
    ) -> None:
        self._change_token = change_token
        self._follow_seconds = follow_seconds
        self._loaded_token: str | None = None
        self._follow_stopped = threading.Event()
        super().__init__(instance, CodeServerTarget(socket))
        self._follower = threading.Thread(target=self._follow, name="follow-definitions", daemon=True)
        self._follower.start()

    @property
    def location_error(self) -> str | None:
        """Why the location is not usable at the moment, or None."""
        entry = self.get_current_workspace().code_location_entries[LOCATION_NAME]
        return entry.load_error.message if entry.load_error else None

    def close(self) -> None:
        """Stop following and close the connections."""
        self._follow_stopped.set()
        self._follower.join()
        self.__exit__(None, None, None)

    def _load_location(self, origin: CodeLocationOrigin, reload: bool) -> CodeLocationEntry:
        # Our code server reads the store on each access, so to load is to reload. The token is taken first: a change
        # while loading is then seen as a change.
        self._loaded_token = self._token()
        location, error = None, None
        try:
            location = LazyCodeLocation(origin, self.instance)
        except Exception:
            # Kept in the entry, where the web app, the API and the follower find it.
            error = serializable_error_info_from_exc_info(sys.exc_info())
        loaded_at = get_current_timestamp()
        display: Mapping[str, Any] = location.get_display_metadata() if location else origin.get_display_metadata()
        return CodeLocationEntry(
            origin=origin,
            code_location=location,
            load_error=error,
            load_status=CodeLocationLoadStatus.LOADED,
            display_metadata=display,
            update_timestamp=loaded_at,
            # The web app keeps what it fetched for a key; the server's id alone does not change with the store.
            version_key=f"{location.server_id if location else 'error'}:{loaded_at}",
            definitions_source=DefinitionsSource.CODE_SERVER,
        )

    def _token(self) -> str | None:
        try:
            return self._change_token()
        except ServiceUnavailable as error:
            logger.warning("the store does not say whether definitions changed: %s", error)
            return None

    def _follow(self) -> None:
        while not self._follow_stopped.wait(self._follow_seconds):
            try:
                if self.location_error is not None or self._token() not in (None, self._loaded_token):
                    self.refresh_code_location(LOCATION_NAME)
            except Exception:
                # The next turn tries again; a thread that ended would freeze the web app's view for good.
                logger.exception("the code location could not be refreshed")
