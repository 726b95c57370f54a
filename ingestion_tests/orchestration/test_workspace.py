"""The following workspace, and canaries for what it uses of Dagster's inside."""

from __future__ import annotations

import inspect
import time

from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext

from ingestion.orchestration.instance import open_instance, prepare_instance
from ingestion.orchestration.tags import LOCATION_NAME, REPOSITORY_NAME
from ingestion.orchestration.webserver import DagsterMount
from ingestion.orchestration.workspace import FollowingWorkspace, JobSnapshots, LazyCodeLocation
from ingestion.settings import Settings
from ingestion_tests.orchestration.deployment import Deployment, a_pipeline, a_source, eventually


def test_job_snapshots_are_fetched_when_looked_at(deployment: Deployment, mount: DagsterMount) -> None:
    source = a_source("Lazy Source")
    deployment.store.sources.add(source)
    pipeline = deployment.store.pipelines.add(a_pipeline(source, "lazy"))

    # Nobody reloads: the workspace follows the store by itself.
    def job_names() -> list[str]:
        location = mount.workspace.get_current_workspace().code_location_entries[LOCATION_NAME].code_location
        assert isinstance(location, LazyCodeLocation)
        return [job.name for job in location.get_repository(REPOSITORY_NAME).get_all_jobs()]

    began = time.monotonic()
    eventually(lambda: pipeline.dag_id in job_names())
    assert time.monotonic() - began < 10
    location = mount.workspace.get_current_workspace().code_location_entries[LOCATION_NAME].code_location
    assert isinstance(location, LazyCodeLocation)
    snapshots = location._job_snaps_by_name[REPOSITORY_NAME]
    assert isinstance(snapshots, JobSnapshots)
    assert pipeline.dag_id not in snapshots
    assert location.get_repository(REPOSITORY_NAME).get_full_job(pipeline.dag_id).description is not None
    assert pipeline.dag_id in snapshots


def test_it_keeps_the_instance_it_was_given(settings: Settings) -> None:
    prepare_instance(settings)
    with open_instance(settings) as instance:
        workspace = FollowingWorkspace(instance, settings.home_dir / "none.sock", lambda: "token")

        assert workspace.instance is instance
        workspace.close()


def test_canary_a_location_asks_for_its_repositories_by_their_names() -> None:
    source = inspect.getsource(GrpcServerCodeLocation.__init__)

    assert "self.repository_names = set(" in source
    assert "sync_get_external_repositories_data_grpc" in source
    assert "self._job_snaps_by_name[repository_name][job_ref.name]" in inspect.getsource(
        GrpcServerCodeLocation._job_ref_to_snap
    )


def test_canary_a_workspace_loads_through_the_method_we_replace() -> None:
    assert list(inspect.signature(WorkspaceProcessContext._load_location).parameters) == ["self", "origin", "reload"]
    for method in ("__init__", "refresh_code_location", "reload_code_location", "refresh_workspace"):
        assert "_load_location(" in inspect.getsource(getattr(WorkspaceProcessContext, method))
