"""The pipeline service where several clients meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.services.pipelines import PipelineService
from ingestion.errors import AlreadyExists, PreconditionFailed
from ingestion.model.pipeline import Pipeline
from ingestion.store import Store
from ingestion_tests.store.samples import a_source

BODY = {"pipeline_name": "p", "source_id": "s1", "target_dataset": "d", "target_table": "t"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as opened:
        opened.migrate()
        opened.sources.add(a_source())
        yield opened


def test_updates_that_meet_are_both_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    service = PipelineService(store)
    pipeline = service.create(BODY, "me", validate_only=False)
    update, met = store.pipelines.update, list[bool]()

    def meet(changed: Pipeline, expected_revision: int) -> None:
        if not met:
            met.append(True)
            service.update(pipeline.pipeline_id, {"description": "the other's"}, "other", None, validate_only=False)
        update(changed, expected_revision)

    monkeypatch.setattr(store.pipelines, "update", meet)
    changed = service.update(pipeline.pipeline_id, {"is_active": False}, "me", None, validate_only=False)
    assert (changed.description, changed.is_active, changed.revision) == ("the other's", False, 3)
    assert store.pipelines.get(pipeline.pipeline_id) == changed


def test_an_update_that_is_always_too_late_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(changed: Pipeline, expected_revision: int) -> None:
        raise PreconditionFailed("somebody else was quicker")

    service = PipelineService(store)
    pipeline = service.create(BODY, "me", validate_only=False)
    monkeypatch.setattr(store.pipelines, "update", too_late)
    with pytest.raises(PreconditionFailed, match="is being changed by others"):
        service.update(pipeline.pipeline_id, {"is_active": False}, "me", None, validate_only=False)


def test_what_changes_nothing_is_no_revision_and_nobody_s(store: Store) -> None:
    service = PipelineService(store)
    pipeline = service.create(BODY, "me", validate_only=False)
    assert service.update(pipeline.pipeline_id, {"description": None}, "other", None, validate_only=False) == pipeline


def test_a_rehearsal_finds_a_taken_name_and_stores_nothing(store: Store) -> None:
    service = PipelineService(store)
    service.create(BODY, "me", validate_only=True)
    assert store.pipelines.all() == []
    service.create(BODY, "me", validate_only=False)
    with pytest.raises(AlreadyExists):
        service.create(BODY, "me", validate_only=True)
