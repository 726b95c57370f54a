from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.exc import IntegrityError

from ingestion.model.pipeline import Pipeline
from ingestion.store import Store
from ingestion.store.claims import (
    claim_holder,
    lock_pipeline,
    next_in_queue,
    release_claim,
    take_claim,
    unfinished_execution,
)
from ingestion.store.engine import Database
from ingestion_tests.store.samples import a_new_execution, with_pipeline


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    opened = Database(store_url)
    yield opened
    opened.close()


@pytest.fixture
def pipeline(store: Store) -> Pipeline:
    return with_pipeline(store)


def test_the_holder_comes_before_the_queue(store: Store, pipeline: Pipeline, database: Database) -> None:
    for execution_id in ("e1", "e2", "e3"):
        store.executions.accept(a_new_execution(pipeline, execution_id, queue_if_busy=True))
    with database.write() as connection:
        assert lock_pipeline(connection, "p1")
        assert claim_holder(connection, "p1") == unfinished_execution(connection, "p1") == "e1"
        assert next_in_queue(connection, "p1") == "e2"
        release_claim(connection, "e1")
        assert claim_holder(connection, "p1") is None
        assert unfinished_execution(connection, "p1") == "e2"


def test_a_claim_is_held_once(store: Store, pipeline: Pipeline, database: Database) -> None:
    for execution_id in ("e1", "e2"):
        store.executions.accept(a_new_execution(pipeline, execution_id, queue_if_busy=True))
    with pytest.raises(IntegrityError), database.write() as connection:
        take_claim(connection, "p1", "e2")
    with database.read() as connection:
        assert claim_holder(connection, "p1") == "e1"


def test_nothing_is_known_of_other_pipelines(store: Store, database: Database) -> None:
    with database.write() as connection:
        assert not lock_pipeline(connection, "p2")
        assert unfinished_execution(connection, "p2") is None
        release_claim(connection, "e1")
    assert store.executions.unfinished() == []
