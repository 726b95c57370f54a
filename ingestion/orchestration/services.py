"""What definitions and runs use of the deployment, opened at first use and once per process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cached_property

from ingestion import clock
from ingestion.model.source import Source
from ingestion.secrets import resolve_secret
from ingestion.settings import Settings
from ingestion.sources import connector_for
from ingestion.sources.base import Connector, ConnectorContext
from ingestion.store import Store
from ingestion.warehouses import open_warehouse
from ingestion.warehouses.base import Warehouse


class Services:
    """The settings, and the store, warehouse and connectors made from them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def store(self) -> Store:
        """The store, opened at first use."""
        return Store.open(self.settings.store_url)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse of the settings."""
        return open_warehouse(self.settings)

    def connector(self, source: Source) -> Connector:
        """A connector for `source`."""
        return connector_for(source, self.context)

    @property
    def context(self) -> ConnectorContext:
        """What connectors may use of this deployment."""
        return ConnectorContext(
            buckets_dir=self.settings.buckets_dir,
            gcs_endpoint=self.settings.gcs_endpoint,
            resolve_secret=lambda reference: resolve_secret(reference, self.settings),
            now=clock.now,
            google_credentials=self.settings.google_credentials,
        )


class PerProcess:
    """Gives each process its own services. A forked child does not use what its parent had opened."""

    def __init__(self, read_settings: Callable[[], Settings]) -> None:
        self._read_settings = read_settings
        self._lock = threading.Lock()
        self._held: tuple[int, Services] | None = None

    def __call__(self) -> Services:
        """The services of this process; the settings are read at the first call."""
        with self._lock:
            if self._held is None or self._held[0] != os.getpid():
                self._held = (os.getpid(), Services(self._read_settings()))
            return self._held[1]


services = PerProcess(Settings.from_environment)
"""The services of a code server or a run worker, by its environment."""
