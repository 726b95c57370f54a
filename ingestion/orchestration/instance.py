"""Dagster's instance of a home: its dagster.yaml, its storage, and how every process opens it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from ingestion.processes.sockets import LAUNCHER_SOCKET, socket_path
from ingestion.settings import PREFIX, Settings

_DATABASE_VARIABLE = f"{PREFIX}DAGSTER_DATABASE_URL"
_HEADER = "# Written by the ingestion service at each start; changes are lost.\n"

MONITORING_SECONDS = 5
"""How often Dagster's daemon looks for lost workers."""


def prepare_instance(settings: Settings) -> None:
    """Write `<home>/dagster/dagster.yaml` and create Dagster's storage. Safe in several processes at once."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    run_logs_dir(settings).mkdir(parents=True, exist_ok=True)
    with _locked(settings.dagster_home / ".prepare.lock"):
        _write_atomically(settings.dagster_home / "dagster.yaml", _HEADER + yaml.safe_dump(instance_config(settings)))
        with open_instance(settings) as instance:
            # Storages are made by their first use; two processes doing that together would collide.
            instance.get_runs_count()
            instance.all_instigator_state()
            instance.get_asset_keys(limit=1)


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The home's instance, for use as a context manager. `prepare_instance` has to have run."""
    export_settings(settings)
    return dg.DagsterInstance.from_config(str(settings.dagster_home))


def export_settings(settings: Settings) -> None:
    """Make this process's environment that of the home.

    Dagster finds its instance by DAGSTER_HOME, dagster.yaml names the database's variable so that the password is
    in no file, and `ingestion.definitions` reads its settings from the environment.
    """
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ.update(settings.to_environment())


def run_logs_dir(settings: Settings) -> Path:
    """One file of standard output and error per run worker."""
    return settings.logs_dir / "runs"


def instance_config(settings: Settings) -> dict[str, Any]:
    """The content of dagster.yaml."""
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "storage": _storage_config(settings),
        # Runs start at once; a queue is made by claims on pipelines, not by Dagster.
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "run_launcher": {
            "module": "ingestion.orchestration.launcher",
            "class": "WarmForkRunLauncher",
            "config": {
                "socket_path": str(socket_path(settings, LAUNCHER_SOCKET)),
                "log_dir": str(run_logs_dir(settings)),
            },
        },
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": MONITORING_SECONDS,
            "start_timeout_seconds": 60,
            "cancel_timeout_seconds": 20,
            "max_resume_run_attempts": 0,
        },
        "run_retries": {"enabled": False},
        "schedules": {"use_threads": True, "num_workers": 4},
        "sensors": {"use_threads": True, "num_workers": 4},
        "auto_materialize": {"enabled": False},
        "freshness": {"enabled": False},
        "retention": {
            "schedule": {"purge_after_days": {"skipped": 7, "failure": 30, "success": 90}},
            "sensor": {"purge_after_days": {"skipped": 7, "failure": 30, "success": 90}},
        },
    }


def _storage_config(settings: Settings) -> dict[str, Any]:
    if settings.dagster_database_url:
        return {"postgres": {"postgres_url": {"env": _DATABASE_VARIABLE}}}
    return {
        "custom": {
            "module": "ingestion.orchestration.sqlite_storage",
            "class": "PatientSqliteStorage",
            "config": {"base_dir": str(settings.dagster_home)},
        }
    }


@contextmanager
def _locked(lock_file: Path) -> Iterator[None]:
    with lock_file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
