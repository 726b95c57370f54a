"""Dagster's instance of a home, and its storage under writers at once."""

from __future__ import annotations

import threading
import uuid

import dagster as dg
import yaml
from dagster._core.run_coordinator import DefaultRunCoordinator

from ingestion.orchestration.instance import instance_config, open_instance, prepare_instance
from ingestion.orchestration.launcher import WarmForkRunLauncher
from ingestion.orchestration.sqlite_storage import PatientRunStorage, PatientScheduleStorage
from ingestion.settings import Settings


def test_it_is_prepared_by_many_processes_and_times(settings: Settings) -> None:
    threads = [threading.Thread(target=prepare_instance, args=(settings,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with open_instance(settings) as instance:
        assert isinstance(instance.run_launcher, WarmForkRunLauncher)
        assert isinstance(instance.run_storage, PatientRunStorage)
        assert isinstance(instance.schedule_storage, PatientScheduleStorage)
        assert isinstance(instance.run_coordinator, DefaultRunCoordinator)
        assert not instance.telemetry_enabled
        assert not instance.run_retries_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_runs_count() == 0


def test_no_password_is_written(settings: Settings) -> None:
    url = "postgresql://dagster:s3cret@db/dagster"

    text = yaml.safe_dump(instance_config(settings.model_copy(update={"dagster_database_url": url})))

    assert "s3cret" not in text
    assert "INGESTION_DAGSTER_DATABASE_URL" in text


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
