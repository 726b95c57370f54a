"""What Dagster loads: `-m ingestion.definitions -a ingestion`.

Importing it does no I/O. The settings are read from the environment and the store is opened when Dagster first asks
for a definition.
"""

from ingestion.orchestration.repository import StoreRepository
from ingestion.orchestration.services import services

ingestion = StoreRepository(services)
