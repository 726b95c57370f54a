"""Fixtures of the connectors' tests."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import ExtractionParams
from ingestion.model.macros import Interval
from ingestion.sources.base import ConnectorContext, ExtractionRequest
from ingestion_tests.servers.gcs import fake_gcs
from ingestion_tests.servers.sshd import running_sshd, sshd
from ingestion_tests.sources.mysql_workbench import mysql
from ingestion_tests.sources.postgres_workbench import database, postgres_url
from ingestion_tests.sources.sftp_site import sftp

__all__ = ["database", "fake_gcs", "mysql", "postgres_url", "running_sshd", "sftp", "sshd"]

SECRETS = {"env://READER_PASSWORD": "correct horse", "env://WRONG_PASSWORD": "battery-staple-7"}
AT = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConnectorContext:
    """A deployment with nothing set: buckets are folders."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return ConnectorContext(
        buckets_dir=tmp_path / "buckets", gcs_endpoint=None, resolve_secret=SECRETS.__getitem__, now=lambda: AT
    )


def request_for(params: ExtractionParams, folder: Path, **changes: object) -> ExtractionRequest:
    """A request about the day of AT with nothing known before."""
    given = {
        "execution": ExecutionParams(),
        "interval": Interval(date(2026, 11, 24), date(2026, 11, 24), AT),
        **changes,
    }
    return ExtractionRequest(params=params, folder=folder, **given)  # type: ignore[arg-type]
