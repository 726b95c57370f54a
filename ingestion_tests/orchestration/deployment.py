"""A home with its Dagster processes, without the REST API: what these tests look at from inside."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from ingestion import clock
from ingestion.errors import LaunchFailed, ServiceUnavailable
from ingestion.model.execution import Execution, ExecutionStatus, Trigger
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.orchestration import tags
from ingestion.orchestration.dagster_api import DagsterApi, RunStatus, RunView
from ingestion.processes.family import FAMILY_VARIABLE, end_family, new_family
from ingestion.settings import Settings
from ingestion.store import NewExecution, Store

T = TypeVar("T")

BUCKET = "sales"
ROWS = "id,label\n1,one\n2,two\n3,three\n"
LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 30.0


def a_source(name: str = "Sales Data Bucket", **changes: Any) -> Source:
    """A source on the folder bucket, not stored yet."""
    now = clock.now()
    values: dict[str, Any] = {
        "source_id": str(uuid.uuid4()),
        "name": name,
        "source_type": SourceType.GCS,
        "connection_details": {"bucket_name": BUCKET},
        "schema_version": "1.0",
        "description": None,
        "is_active": True,
        "created_at": now,
        "updated_at": now,
        "created_by": "admin@example.com",
        "updated_by": "admin@example.com",
        "status": SourceStatus.UNKNOWN,
        "version": 1,
    }
    return Source(**(values | changes))


def a_pipeline(source: Source, table: str, configuration: dict[str, Any] | None = None, **changes: Any) -> Pipeline:
    """A pipeline of `source`, not stored yet."""
    now = clock.now()
    values: dict[str, Any] = {
        "pipeline_id": str(uuid.uuid4()),
        "pipeline_name": table,
        "source_id": source.source_id,
        "target_dataset": "shop",
        "target_table": table,
        "dag_id": f"gcs_to_bq_{table}",
        "configuration": configuration or {"extraction_params": {"file_pattern": "*.csv"}},
        "description": None,
        "is_active": True,
        "created_at": now,
        "updated_at": now,
        "created_by": "admin@example.com",
        "updated_by": "admin@example.com",
        "revision": 1,
    }
    return Pipeline(**(values | changes))


def accept(store: Store, pipeline: Pipeline, **changes: Any) -> Execution:
    """An accepted execution of the pipeline, as the API makes one."""
    values: dict[str, Any] = {
        "execution_id": str(uuid.uuid4()),
        "pipeline": pipeline,
        "source_type": SourceType.GCS,
        "trigger": Trigger.API,
        "execution_params": None,
        "created_by": "admin@example.com",
        "is_forced": False,
    }
    return store.executions.accept(NewExecution(**(values | changes)))


def put_rows(settings: Settings, name: str = "rows.csv", content: str = ROWS) -> None:
    """An object in the bucket."""
    path = settings.buckets_dir / BUCKET / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


class SilentServer:
    """An address that accepts connections and never answers: a source that takes forever."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()


class Deployment:
    """Launcher, code server and daemon of one home, each startable and stoppable alone."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store.open(settings.store_url)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._family = new_family()

    def start(self, name: str) -> subprocess.Popen[bytes]:
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        environment = os.environ | self.settings.to_environment() | {FAMILY_VARIABLE: self._family}
        with (self.settings.logs_dir / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "ingestion", name]
            self.processes[name] = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return self.processes[name]

    def stop(self, name: str) -> float:
        """SIGTERM; the seconds it took to end."""
        began = time.monotonic()
        self.processes[name].terminate()
        try:
            self.processes[name].wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill(name)
            raise
        return time.monotonic() - began

    def close(self) -> None:
        """End the processes and all they have started, run workers too, however they behave."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        stubborn = [name for name, process in self.processes.items() if not _has_ended(process)]
        for name in stubborn:
            self._kill(name)
        end_family(self._family, 0.0)
        self.store.close()
        assert stubborn == [], f"not ended {STOP_LIMIT_SECONDS} s after SIGTERM\n{self.logs()}"

    def _kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def logs(self) -> str:
        """The end of every log, for a failed test."""
        files = sorted(self.settings.logs_dir.rglob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in files)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def eventually(describe: Callable[[], T | None], limit: float = LIMIT_SECONDS) -> T:
    """The first answer that is neither None nor False."""
    deadline = time.monotonic() + limit
    while True:
        answer = describe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {limit} s"
        time.sleep(0.2)


def now_(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine."""
    return asyncio.run(coroutine)


def run_of(api: DagsterApi, run_id: str) -> RunView:
    return now_(api.runs([run_id]))[run_id]


def ended(api: DagsterApi, run_id: str, limit: float = LIMIT_SECONDS) -> RunView:
    """The run once it has ended."""

    def look() -> RunView | None:
        view = run_of(api, run_id)
        return view if view.status.is_final else None

    return eventually(look, limit)


def launched(api: DagsterApi, pipeline: Pipeline) -> str | None:
    """The id of a new run of the pipeline; None while it cannot be launched."""
    try:
        return now_(api.launch(pipeline.dag_id, {}, {}))
    except (LaunchFailed, ServiceUnavailable):
        return None


def working(deployment: Deployment, api: DagsterApi, run_id: str) -> int:
    """The pid of the run's worker, once its execution runs."""

    def look() -> int | None:
        execution = deployment.store.executions.by_run(run_id)
        view = run_of(api, run_id)
        if execution is None or execution.status is not ExecutionStatus.RUNNING:
            assert not view.status.is_final, deployment.logs()
            return None
        return int(json.loads(view.tags[tags.WORKER])["pid"]) if view.status is RunStatus.STARTED else None

    return eventually(look)


def short_home(base: Path) -> Path:
    """A home whose socket paths are short."""
    home = base / "h"
    home.mkdir()
    return home
