"""Dagster through its GraphQL API: launch, look at and terminate runs, in this process or over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import httpx

from ingestion.errors import LaunchFailed, ServiceUnavailable
from ingestion.orchestration import queries, tags

if TYPE_CHECKING:
    from ingestion.orchestration.webserver import DagsterMount

_PATH = "/dagster/graphql"
_TIMEOUT_SECONDS = 60.0
_RUNS_PER_QUERY = 100
# What the webserver says when the code server went away since it loaded the definitions; no run was made then.
_UNREACHABLE = "DagsterUserCodeUnreachableError"


class RunStatus(StrEnum):
    """Dagster's run statuses."""

    QUEUED = "QUEUED"
    NOT_STARTED = "NOT_STARTED"
    MANAGED = "MANAGED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self in (RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.CANCELED)


@dataclass(frozen=True)
class StepView:
    """One step of a run as Dagster saw it; steps that have not begun are absent from the run's list."""

    step_key: str
    status: str | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class RunView:
    """A run as Dagster sees it."""

    run_id: str
    status: RunStatus
    job_name: str
    parent_run_id: str | None
    tags: Mapping[str, str]
    started_at: datetime | None
    ended_at: datetime | None
    steps: Sequence[StepView]


class DagsterApi:
    """A client of one Dagster webserver. All methods raise ServiceUnavailable when Dagster does not answer."""

    def __init__(self, client: httpx.AsyncClient, path: str = _PATH) -> None:
        self._client = client
        self._path = path

    @classmethod
    def in_process(cls, mount: DagsterMount) -> Self:
        """The web app of this process, without a network."""
        transport = httpx.ASGITransport(app=mount.app, raise_app_exceptions=False)
        return cls(httpx.AsyncClient(transport=transport, base_url="http://dagster", timeout=_TIMEOUT_SECONDS))

    @classmethod
    def over_http(cls, base_url: str) -> Self:
        """A webserver elsewhere; `base_url` is the address of its start page."""
        client = httpx.AsyncClient(base_url=base_url.rstrip("/") + "/", timeout=_TIMEOUT_SECONDS)
        return cls(client, "graphql")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def launch(
        self, dag_id: str, params: Mapping[str, Any], tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> str:
        """Launch the job and answer the run's id.

        A job that is not known yet is looked for once more after a reload. Raises LaunchFailed, and
        ServiceUnavailable while the code server is away: then no run was made and it can be tried again.
        """
        answer = await self._launch(dag_id, params, tags, parent_run_id)
        if answer["__typename"] == "PipelineNotFoundError":
            await self.reload()
            answer = await self._launch(dag_id, params, tags, parent_run_id)
        if answer["__typename"] == "LaunchRunSuccess":
            return str(answer["run"]["runId"])
        away = answer.get("className") == _UNREACHABLE or await self.location_error() is not None
        if away:
            raise ServiceUnavailable(f"Dagster's code server is not available: {_reason(answer)}")
        raise LaunchFailed(f"The run of '{dag_id}' could not be launched: {_reason(answer)}")

    async def _launch(
        self, dag_id: str, params: Mapping[str, Any], run_tags: Mapping[str, str], parent_run_id: str | None
    ) -> Mapping[str, Any]:
        metadata: dict[str, Any] = {"tags": [{"key": key, "value": value} for key, value in run_tags.items()]}
        if parent_run_id is not None:
            metadata |= {"parentRunId": parent_run_id, "rootRunId": parent_run_id}
        execution_params = {
            "selector": {
                "repositoryLocationName": tags.LOCATION_NAME,
                "repositoryName": tags.REPOSITORY_NAME,
                "jobName": dag_id,
            },
            # Dagster takes an absent field for unset, but not null.
            "runConfigData": {name: value for name, value in params.items() if value is not None},
            "executionMetadata": metadata,
        }
        return await self._ask(queries.LAUNCH_RUN, "launchRun", executionParams=execution_params)

    async def runs(self, run_ids: Sequence[str]) -> Mapping[str, RunView]:
        """The runs of these ids that exist, by id."""
        found: dict[str, RunView] = {}
        for start in range(0, len(run_ids), _RUNS_PER_QUERY):
            chunk = list(run_ids[start : start + _RUNS_PER_QUERY])
            for view in await self._runs({"runIds": chunk}, len(chunk)):
                found[view.run_id] = view
        return found

    async def runs_tagged(self, execution_id: str) -> Sequence[RunView]:
        """The runs launched for an execution, latest first."""
        return await self._runs({"tags": [{"key": tags.EXECUTION_ID, "value": execution_id}]}, _RUNS_PER_QUERY)

    async def _runs(self, run_filter: Mapping[str, Any], limit: int) -> Sequence[RunView]:
        answer = await self._ask(queries.RUNS, "runsOrError", filter=run_filter, limit=limit)
        if answer["__typename"] != "Runs":
            raise ServiceUnavailable(f"Dagster does not list its runs: {_reason(answer)}")
        return [_run_view(result) for result in answer["results"]]

    async def terminate(self, run_id: str) -> bool:
        """Stop a run: True when it is stopping or stopped by this, False when it had ended or does not exist.

        A run without a worker to stop (not begun, or lost) is marked as canceled at once.
        """
        answer = await self._terminate(run_id, "SAFE_TERMINATE")
        if answer["__typename"] == "TerminateRunSuccess":
            return True
        status = await self._status(run_id)
        if status is None or status.is_final:
            return False
        if status is RunStatus.CANCELING:
            return True
        answer = await self._terminate(run_id, "MARK_AS_CANCELED_IMMEDIATELY")
        return bool(answer["__typename"] == "TerminateRunSuccess")

    async def _terminate(self, run_id: str, policy: str) -> Mapping[str, Any]:
        return await self._ask(queries.TERMINATE_RUN, "terminateRun", runId=run_id, policy=policy)

    async def _status(self, run_id: str) -> RunStatus | None:
        answer = await self._ask(queries.RUN_STATUS, "runOrError", runId=run_id)
        return RunStatus(answer["status"]) if answer["__typename"] == "Run" else None

    async def reload(self) -> None:
        """Make the webserver see the definitions as they are now."""
        answer = await self._ask(queries.RELOAD_LOCATION, "reloadRepositoryLocation", name=tags.LOCATION_NAME)
        if answer["__typename"] != "WorkspaceLocationEntry":
            raise ServiceUnavailable(f"Dagster does not reload its definitions: {_reason(answer)}")

    async def location_error(self) -> str | None:
        """Why Dagster cannot use the definitions at the moment, or None."""
        answer = await self._ask(queries.LOCATION, "workspaceLocationEntryOrError", name=tags.LOCATION_NAME)
        if answer["__typename"] != "WorkspaceLocationEntry":
            return _reason(answer)
        loaded = answer["locationOrLoadError"]
        if loaded is None:
            return "it is still loading"
        return str(loaded["message"]) if loaded["__typename"] == "PythonError" else None

    async def _ask(self, query: str, field: str, **variables: Any) -> Mapping[str, Any]:
        try:
            response = await self._client.post(self._path, json={"query": query, "variables": variables})
            body = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ServiceUnavailable(f"Dagster does not answer: {error or type(error).__name__}") from error
        answer = (body.get("data") or {}).get(field)
        if answer is None:
            problems = "; ".join(str(problem.get("message")) for problem in body.get("errors") or [])
            raise ServiceUnavailable(f"Dagster answers {response.status_code}: {problems or 'no data'}")
        result: Mapping[str, Any] = answer
        return result


def _run_view(result: Mapping[str, Any]) -> RunView:
    return RunView(
        run_id=result["runId"],
        status=RunStatus(result["status"]),
        job_name=result["jobName"],
        parent_run_id=result["parentRunId"],
        tags={tag["key"]: tag["value"] for tag in result["tags"]},
        started_at=_instant(result["startTime"]),
        ended_at=_instant(result["endTime"]),
        steps=[
            StepView(step["stepKey"], step["status"], _instant(step["startTime"]), _instant(step["endTime"]))
            for step in result["stepStats"]
        ],
    )


def _instant(epoch_seconds: float | None) -> datetime | None:
    return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC)


def _reason(answer: Mapping[str, Any]) -> str:
    messages = [problem["message"] for problem in answer.get("errors") or []]
    if not messages and answer.get("message"):
        messages = [answer["message"]]
    messages += [cause["message"] for cause in answer.get("causes") or []]
    return "; ".join(_first_line(message) for message in messages) or str(answer["__typename"])


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]
