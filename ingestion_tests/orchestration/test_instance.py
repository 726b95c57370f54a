"""Dagster's instance of a home, and its storage under writers at once."""

from __future__ import annotations

import threading

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
