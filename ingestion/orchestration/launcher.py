"""The run launcher of dagster.yaml: asks the warm launcher process for a worker, then watches it by its pid."""

import json
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass, serialize_value
from dagster._serdes.config_class import ConfigurableClassData

from ingestion.orchestration import tags
from ingestion.orchestration.worker import RunRequest, WorkerIdentity

_ANSWER_SECONDS = 10.0


class LauncherUnreachable(Exception):
    """The launcher process does not answer, or refused to start the worker."""


def ask_launcher(socket_file: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """One request to the launcher process. Raises LauncherUnreachable."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(socket_file)
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except OSError as error:
        raise LauncherUnreachable(f"the launcher process does not answer at {socket_file}: {error}") from error
    if not line:
        raise LauncherUnreachable(f"the launcher process at {socket_file} closed the connection without an answer")
    answer: dict[str, Any] = json.loads(line)
    if not answer.get("ok"):
        raise LauncherUnreachable(f"the launcher process refused: {answer.get('error')}")
    return answer


class WarmForkRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Each run is a forked process of this host's launcher process.

    A worker is known by pid and start time, written on its run by the worker itself, so health and termination
    do not need the launcher process.
    """

    def __init__(self, socket_path: str, log_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._socket_path = socket_path
        self._log_dir = log_dir
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Dagster's record of how this object was configured."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Where the launcher process listens and where worker logs go."""
        return {"socket_path": dg.Field(dg.StringSource), "log_dir": dg.Field(dg.StringSource)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """As Dagster makes it from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a worker for the run. Raises LauncherUnreachable; Dagster then records the run as failed."""
        run_id = context.dagster_run.run_id
        request = RunRequest(
            run_id=run_id,
            instance_ref=serialize_value(self._instance.get_ref()),
            log_path=str(Path(self._log_dir) / f"{run_id}.log"),
        )
        ask_launcher(self._socket_path, {"op": "start", **request.to_message()})

    def terminate(self, run_id: str) -> bool:
        """Ask the run's worker to stop. It is killed when it has not after its grace. False: nothing to stop."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        process = _worker_process(run)
        if process is None:
            return False
        self._instance.report_run_canceling(run)
        try:
            os.kill(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: run monitoring finds lost workers."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the worker's process lives.

        It is only asked for unfinished runs, so a worker that is gone has failed, whatever its exit code was.
        """
        tag = run.tags.get(tags.WORKER)
        if tag is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the run never had a worker on this host")
        identity = WorkerIdentity.from_tag(tag)
        if identity.process() is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(identity.pid))
        return CheckRunHealthResult(WorkerStatus.FAILED, f"the worker process {identity.pid} is gone")


def _worker_process(run: dg.DagsterRun) -> Any:
    tag = run.tags.get(tags.WORKER)
    return None if tag is None else WorkerIdentity.from_tag(tag).process()
