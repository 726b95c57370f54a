"""`ingestion migrate`: both databases at this version's schema."""

from __future__ import annotations

from ingestion.orchestration.instance import prepare_instance
from ingestion.processes.home import prepare_home
from ingestion.processes.lifeline import end_with_supervisor
from ingestion.settings import Settings
from ingestion.store import Store


def run_migrate(settings: Settings) -> None:
    """Bring the store and Dagster's storage up to date. Idempotent, and safe in several processes at once."""
    end_with_supervisor()
    prepare_home(settings)
    with Store.open(settings.store_url) as store:
        store.migrate()
    prepare_instance(settings)
