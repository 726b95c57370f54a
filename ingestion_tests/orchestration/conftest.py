"""One deployment of real processes for all tests that need them, and a home without any for the others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.orchestration.dagster_api import DagsterApi
from ingestion.orchestration.instance import prepare_instance
from ingestion.orchestration.services import Services, services
from ingestion.orchestration.webserver import DagsterMount, create_dagster_app
from ingestion.settings import Settings
from ingestion.store import Store
from ingestion_tests.orchestration.deployment import (
    Deployment,
    SilentServer,
    a_pipeline,
    a_source,
    eventually,
    now_,
    put_rows,
    short_home,
)


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Opening an instance exports its settings; the next test must not see them."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with a bucket of three rows."""
    settings = Settings(home=tmp_path / "home")
    settings.home_dir.mkdir()
    put_rows(settings)
    return settings


@pytest.fixture
def here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The services of this process are those of the home, as in one of its workers."""
    own = Services(settings)
    own.store.migrate()
    monkeypatch.setattr(services, "_held", (os.getpid(), own))
    yield own
    own.store.close()


@pytest.fixture
def home_store(here: Services) -> Store:
    return here.store


@pytest.fixture
def source(home_store: Store) -> Source:
    """A stored source."""
    stored = a_source()
    home_store.sources.add(stored)
    return stored


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """Launcher, code server and daemon, started."""
    with tempfile.TemporaryDirectory(prefix="ing-") as folder:
        settings = Settings(home=short_home(Path(folder)))
        put_rows(settings)
        environment = dict(os.environ)
        prepare_instance(settings)
        running = Deployment(settings)
        running.store.migrate()
        try:
            for name in ("launcher", "code-server", "daemon"):
                running.start(name)
            yield running
        finally:
            running.close()
            os.environ.clear()
            os.environ.update(environment)


@pytest.fixture(scope="session")
def mount(deployment: Deployment) -> Iterator[DagsterMount]:
    """Dagster's web app in this process, once it sees the code server and the launcher listens."""
    environment = dict(os.environ)
    mounted = create_dagster_app(deployment.settings)
    eventually(lambda: mounted.workspace.location_error is None)
    yield mounted
    mounted.close()
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def dagster(deployment: Deployment, mount: DagsterMount) -> Iterator[DagsterApi]:
    """The client of that web app, in process, once runs can be launched."""
    eventually(lambda: (deployment.settings.sockets_dir / "launcher.sock").exists())
    api = DagsterApi.in_process(mount)
    yield api
    now_(api.close())


@pytest.fixture(scope="session")
def quick(deployment: Deployment) -> Pipeline:
    """A pipeline that loads three rows."""
    source = a_source("Quick Source")
    deployment.store.sources.add(source)
    configuration = {
        "extraction_params": {"file_pattern": "rows.csv"},
        "quality_params": {"checks": [{"check": "not_null", "column": "id"}]},
    }
    return deployment.store.pipelines.add(a_pipeline(source, "quick", configuration))


@pytest.fixture
def endless(deployment: Deployment) -> Iterator[Pipeline]:
    """A pipeline whose source never answers."""
    server = SilentServer()
    source = a_source(f"Endless {server.url}", connection_details={"bucket_name": "b", "endpoint": server.url})
    deployment.store.sources.add(source)
    table = f"endless_{server.url.rpartition(':')[2]}"
    yield deployment.store.pipelines.add(a_pipeline(source, table))
    server.close()
