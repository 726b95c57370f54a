from __future__ import annotations

import subprocess
import sys

from ingestion import definitions
from ingestion.orchestration.repository import StoreRepository
from ingestion.orchestration.tags import REPOSITORY_NAME


def test_there_is_one_repository_by_the_name_that_clients_ask_for() -> None:
    found = [value for value in vars(definitions).values() if isinstance(value, StoreRepository)]
    assert found == [definitions.ingestion]
    assert definitions.ingestion.name == REPOSITORY_NAME


def test_importing_the_definitions_does_no_io() -> None:
    program = "import ingestion.definitions as d, sys; sys.exit(d.services._held is not None)"

    done = subprocess.run([sys.executable, "-c", program], env={"INGESTION_HOME": "/nonexistent/home"}, check=False)

    assert done.returncode == 0
