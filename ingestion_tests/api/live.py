"""The application behind a real HTTP server, with a real store and a stand-in for Dagster."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from api.app import create_app
from api.auth.tokens import issue_token
from api.endpoint import BASE_PATH
from ingestion.errors import IngestionError
from ingestion.model.execution import ErrorDetails, Execution
from ingestion.orchestration.dagster_api import RunStatus, RunView
from ingestion.settings import Settings
from ingestion.store import Store

ADMIN = "admin@example.com"


@dataclass
class Launch:
    """What a run was launched with."""

    dag_id: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    parent_run_id: str | None


@dataclass
class StandInDagster:
    """Keeps runs in memory; a test decides what becomes of them."""

    launches: dict[str, Launch] = field(default_factory=dict)
    views: dict[str, RunView] = field(default_factory=dict)
    terminated: list[str] = field(default_factory=list)
    questions: int = 0
    reloads: int = 0
    launch_errors: list[IngestionError] = field(default_factory=list)
    answer_error: IngestionError | None = None
    problem: str | None = None
    while_launching: Callable[[], Awaitable[None]] | None = None

    async def launch(
        self, dag_id: str, params: Mapping[str, Any], tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> str:
        if self.launch_errors:
            raise self.launch_errors.pop(0)
        if self.while_launching is not None:
            await self.while_launching()
        run_id = str(uuid.uuid4())
        self.launches[run_id] = Launch(dag_id, params, tags, parent_run_id)
        self.views[run_id] = RunView(run_id, RunStatus.STARTED, dag_id, parent_run_id, tags, None, None, ())
        return run_id

    async def runs(self, run_ids: Sequence[str]) -> Mapping[str, RunView]:
        self.questions += 1
        if self.answer_error is not None:
            raise self.answer_error
        return {run_id: self.views[run_id] for run_id in run_ids if run_id in self.views}

    async def runs_tagged(self, execution_id: str) -> Sequence[RunView]:
        return [view for view in self.views.values() if execution_id in view.tags.values()]

    async def terminate(self, run_id: str) -> bool:
        self.terminated.append(run_id)
        return True

    async def reload(self) -> None:
        self.reloads += 1

    async def location_error(self) -> str | None:
        return self.problem

    def run_of(self, execution_id: str) -> str:
        return next(run_id for run_id, launch in self.launches.items() if execution_id in launch.tags.values())


@dataclass
class Live:
    """A running application."""

    settings: Settings
    store: Store
    dagster: StandInDagster
    url: str

    def client(self, role: str | None = "admin", headers_more: Mapping[str, str] | None = None) -> httpx.Client:
        headers = {} if role is None else {"Authorization": f"Bearer {issue_token(self.settings, role, ADMIN)}"}
        return httpx.Client(base_url=self.url + BASE_PATH, headers=headers | dict(headers_more or {}), timeout=30)

    def wait_until(self, condition: Callable[[], bool], limit: float = 10) -> None:
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    def put_object(self, bucket: str, name: str, content: str) -> None:
        path = self.settings.buckets_dir / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def succeed(self, execution_id: str, rows: int = 7) -> None:
        """What a worker does to the store when all goes well."""
        executions = self.store.executions
        run_id = str(executions.get(execution_id).dagster_run_id)
        assert executions.start(execution_id, run_id)
        for task in executions.all_tasks(execution_id):
            executions.start_task(execution_id, task.task_id, {})
            executions.finish_task(execution_id, task.task_id, {"processing_time_seconds": 1.0}, {"step": task.task_id})
        assert executions.claim_publish(execution_id)
        assert executions.succeed(execution_id, rows, {"total_time_seconds": 4.0})

    def fail(self, execution_id: str) -> None:
        assert self.store.executions.fail(
            execution_id, ErrorDetails(error_code="FILE_NOT_FOUND", error_message="no file", task_id="extract_from_gcs")
        )

    def stored(self, execution_id: str) -> Execution:
        return self.store.executions.get(execution_id)


@contextmanager
def live(home: Path, **changes: Any) -> Iterator[Live]:
    """Serve the application on a free port until the block ends."""
    settings = Settings(home=home, **changes)
    dagster = StandInDagster()
    with Store.open(settings.store_url if settings.database_url else _sqlite(home)) as store:
        store.migrate()
        app = create_app(settings, store=store, dagster=dagster)
        with serving(app) as url:
            yield Live(settings, store, dagster, url)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """An ASGI application behind uvicorn, in a thread; the address."""
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="websockets-sansio", lifespan="on")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        assert server.started, "the application did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def _sqlite(home: Path) -> str:
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'ingestion.sqlite'}"
