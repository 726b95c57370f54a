from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.orchestration.instance import open_instance
from ingestion.processes.migrate import run_migrate
from ingestion.settings import Settings
from ingestion.store import Store


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_a_new_home_is_usable_and_a_used_one_keeps_what_it_has(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    run_migrate(settings)
    (settings.secrets_dir / "password").write_text("kept")

    run_migrate(settings)

    with Store.open(settings.store_url) as store:
        assert store.is_current()
    with open_instance(settings) as instance:
        assert instance.get_runs_count() == 0
    assert (settings.secrets_dir / "password").read_text() == "kept"
