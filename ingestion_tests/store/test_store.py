from __future__ import annotations

import subprocess
import sys

import pytest

from ingestion import store as package
from ingestion.errors import ServiceUnavailable
from ingestion.store import Store
from ingestion_tests.store.samples import a_source


def test_everything_exported_is_there() -> None:
    assert all(hasattr(package, name) for name in package.__all__)


def test_open_connects_to_nothing() -> None:
    with Store.open("postgresql://nobody@127.0.0.1:1/nothing") as store, pytest.raises(ServiceUnavailable):
        store.ping()


def test_a_closed_store_opens_again_when_used(store: Store) -> None:
    store.ping()
    store.close()
    store.sources.add(a_source())
    assert store.sources.get("s1") == a_source()


def test_importing_the_store_leaves_alembic_out() -> None:
    program = "import sys, ingestion.store; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
