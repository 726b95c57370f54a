"""Dagster's SQLite storage under writers at once."""

from __future__ import annotations

import threading
import uuid

import dagster as dg
import pytest

from ingestion.orchestration.instance import open_instance, prepare_instance
from ingestion.orchestration.sqlite_storage import PatientRunStorage, PatientScheduleStorage, _with_timeout
from ingestion.settings import Settings


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:////home/runs.db", "sqlite:////home/runs.db?timeout=30"),
        ("sqlite:////home/runs.db?mode=rw", "sqlite:////home/runs.db?mode=rw&timeout=30"),
        ("sqlite:////home/runs.db?timeout=5", "sqlite:////home/runs.db?timeout=5"),
    ],
)
def test_the_timeout_is_in_the_address(given: str, used: str) -> None:
    assert _with_timeout(given) == used


def test_every_sqlite_connection_waits_for_other_writers(settings: Settings) -> None:
    prepare_instance(settings)
    with open_instance(settings) as instance:
        for storage in (instance.run_storage, instance.schedule_storage):
            assert isinstance(storage, PatientRunStorage | PatientScheduleStorage)
            with storage.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_run_storage_takes_writers_at_once(settings: Settings) -> None:
    prepare_instance(settings)
    errors: list[Exception] = []

    def write() -> None:
        try:
            with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
                for _ in range(5):
                    instance.run_storage.add_run(dg.DagsterRun(job_name="job", run_id=str(uuid.uuid4())))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with open_instance(settings) as instance:
        assert instance.get_runs_count() == 20
