from __future__ import annotations

from collections.abc import Callable

import pytest

from ingestion.errors import NotFound
from ingestion.model.source import SourceStatus
from ingestion.store import Store
from ingestion_tests.store.samples import a_pipeline, a_source, running


def test_every_change_of_a_definition_gives_another_token(store: Store) -> None:
    changes: list[Callable[[], object]] = [
        lambda: store.sources.add(a_source()),
        lambda: store.sources.update(a_source(description="new"), 1),
        lambda: store.pipelines.add(a_pipeline()),
        lambda: store.pipelines.update(a_pipeline(description="new"), 1),
        lambda: store.pipelines.delete("p1"),
        lambda: store.sources.delete("s1"),
        lambda: store.sources.add(a_source()),
    ]
    tokens = [store.pipelines.change_token()]
    for change in changes:
        change()
        tokens.append(store.pipelines.change_token())
    assert len(set(tokens)) == len(changes) + 1


def test_nothing_else_does(store: Store) -> None:
    store.sources.add(a_source())
    pipeline = store.pipelines.add(a_pipeline())
    token = store.pipelines.change_token()
    store.sources.set_status("s1", SourceStatus.ERROR)
    running(store, pipeline)
    with pytest.raises(NotFound):
        store.sources.delete("unknown")
    assert store.pipelines.change_token() == token
