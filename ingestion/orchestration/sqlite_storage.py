"""Dagster's SQLite storage with a busy timeout everywhere.

The stock run and schedule storages connect without one, so a second writer fails with "database is locked"
after five seconds; the event log already waits for thirty.
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData

BUSY_TIMEOUT_SECONDS = 30


def _with_timeout(conn_string: str) -> str:
    separator = "&" if "?" in conn_string else "?"
    return conn_string if "timeout=" in conn_string else f"{conn_string}{separator}timeout={BUSY_TIMEOUT_SECONDS}"


class PatientRunStorage(SqliteRunStorage):
    """The run storage, waiting for other writers."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(_with_timeout(conn_string), inst_data)


class PatientScheduleStorage(SqliteScheduleStorage):
    """The schedule storage, waiting for other writers."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(_with_timeout(conn_string), inst_data)


class PatientSqliteStorage(DagsterSqliteStorage):
    """All three storages below `base_dir`, laid out as the stock one does."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # Not the stock __init__, which would open its own storages first.
        DagsterStorage.__init__(self)  # type: ignore[arg-type,no-untyped-call]
        self.base_dir = base_dir
        self._inst_data = inst_data
        self._run_storage = PatientRunStorage.from_local(_runs_directory(base_dir))
        self._event_log_storage = SqliteEventLogStorage(_event_logs_directory(base_dir))
        self._schedule_storage = PatientScheduleStorage.from_local(_schedule_directory(base_dir))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """As Dagster calls it; the stock one names its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)
