from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingestion.orchestration.services import PerProcess, Services
from ingestion.settings import Settings
from ingestion_tests.orchestration.deployment import BUCKET, a_source


def test_each_process_has_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    services = PerProcess(lambda: read.append(True) or settings)  # type: ignore[func-returns-value]
    assert read == [], "nothing is read before it is needed"

    first = services()
    assert services() is first
    monkeypatch.setattr(os, "getpid", lambda: -1)
    forked = services()

    assert forked is not first
    assert services() is forked
    assert len(read) == 2


def test_nothing_is_opened_before_its_use(tmp_path: Path) -> None:
    opened = Services(Settings(home=tmp_path / "home"))

    assert opened.warehouse is opened.warehouse
    assert not (tmp_path / "home").exists()


def test_connectors_read_from_the_home_s_folders(settings: Settings) -> None:
    report = Services(settings).connector(a_source()).check(10)
    assert report.successful
    assert (settings.buckets_dir / BUCKET).exists()
