"""The code server's process: gone in time, and back without anybody else starting anew."""

from __future__ import annotations

import pytest

from ingestion.errors import ServiceUnavailable
from ingestion.model.pipeline import Pipeline
from ingestion.orchestration.dagster_api import DagsterApi, RunStatus
from ingestion.orchestration.webserver import DagsterMount
from ingestion_tests.orchestration.deployment import Deployment, ended, eventually, launched, now_


def test_the_code_server_comes_back(
    deployment: Deployment, dagster: DagsterApi, mount: DagsterMount, quick: Pipeline
) -> None:
    assert deployment.stop("code-server") < 5
    with pytest.raises(ServiceUnavailable, match="code server is not available"):
        now_(dagster.launch(quick.dag_id, {}, {}))

    deployment.start("code-server")

    run_id = eventually(lambda: launched(dagster, quick))
    assert ended(dagster, run_id).status is RunStatus.SUCCESS, deployment.logs()
    assert mount.workspace.location_error is None
