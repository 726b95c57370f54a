"""The source service with connectors that fail in every way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from api.services.sources import SourceService
from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    FileMissing,
    ObjectMissing,
    ObjectNotInSource,
    SecretUnavailable,
    SourceUnreachable,
)
from ingestion.model.source import Source, SourceStatus
from ingestion.sources.base import ConnectionReport, Connector, ExtractionRequest, ObjectDescription
from ingestion.store import Store

BODY = {"name": "s", "source_type": "GCS", "connection_details": {"bucket_name": "b"}}


class Failing:
    """A connector whose source always fails in one way."""

    def __init__(self, error: ExecutionFailure) -> None:
        self._error = error

    def check(self, timeout_seconds: float) -> ConnectionReport:
        raise self._error

    def describe(self, object_name: str, sample_rows: int) -> ObjectDescription:
        raise self._error

    def extract(self, request: ExtractionRequest) -> NoReturn:
        raise self._error


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        opened.migrate()
        yield opened


def service_for(store: Store, error: ExecutionFailure) -> SourceService:
    def connector(source: Source) -> Connector:
        return Failing(error)

    return SourceService(store, connector)


def test_a_connection_test_reports_whatever_fails(store: Store) -> None:
    service = service_for(store, SecretUnavailable("env://X is not set"))
    report = service.test(service.checked_test({name: BODY[name] for name in ("source_type", "connection_details")}))
    assert not report.successful
    assert report.results["error_code"] == "SECRET_UNAVAILABLE"
    assert report.results["reason"] == "env://X is not set"
    assert isinstance(report.measurements["latency_ms"], int)


@pytest.mark.parametrize("error", [FileMissing("no file"), ObjectMissing("no table")])
def test_a_missing_object_says_nothing_about_the_source(store: Store, error: ExecutionFailure) -> None:
    service = service_for(store, error)
    source = service.create(BODY, "me", validate_only=False)
    with pytest.raises(ObjectNotInSource, match=error.message):
        service.describe(source.source_id, "x")
    assert store.sources.get(source.source_id).status is SourceStatus.UNKNOWN


def test_an_unreachable_source_is_noted_unless_it_is_inactive(store: Store) -> None:
    service = service_for(store, ConnectionFailed("refused"))
    for is_active, status in ((True, SourceStatus.ERROR), (False, SourceStatus.DISCONNECTED)):
        source = service.create(BODY | {"name": str(is_active), "is_active": is_active}, "me", validate_only=False)
        with pytest.raises(SourceUnreachable, match="refused"):
            service.describe(source.source_id, "x")
        assert store.sources.get(source.source_id).status is status


def test_updates_that_meet_are_both_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_for(store, ConnectionFailed("refused"))
    source = service.create(BODY, "me", validate_only=False)
    update, met = store.sources.update, list[bool]()

    def meet(changed: Source, expected_version: int) -> None:
        if not met:
            met.append(True)
            service.update(source.source_id, {"description": "the other's"}, "other", None, validate_only=False)
        update(changed, expected_version)

    monkeypatch.setattr(store.sources, "update", meet)
    changed = service.update(source.source_id, {"schema_version": "2"}, "me", None, validate_only=False)
    assert (changed.description, changed.schema_version, changed.version) == ("the other's", "2", 3)
    assert store.sources.get(source.source_id) == changed
