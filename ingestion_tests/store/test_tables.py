from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from ingestion.model.execution import ExecutionStatus, TaskStatus
from ingestion.model.source import SourceStatus, SourceType
from ingestion.store import Page, Store
from ingestion_tests.store.samples import MOMENT, running, with_pipeline

LISTS: dict[str, Callable[[Store, Page], object]] = {
    "sources": lambda store, page: store.sources.list(page),
    "sources by type": lambda store, page: store.sources.list(page, source_type=SourceType.GCS),
    "sources by status": lambda store, page: store.sources.list(page, status=SourceStatus.UNKNOWN),
    "sources by both": lambda store, page: store.sources.list(page, SourceType.GCS, SourceStatus.UNKNOWN),
    "pipelines": lambda store, page: store.pipelines.list(page),
    "pipelines by source": lambda store, page: store.pipelines.list(page, source_id="source-of-p1"),
    "pipelines by activity": lambda store, page: store.pipelines.list(page, is_active=True),
    "pipelines by both": lambda store, page: store.pipelines.list(page, "source-of-p1", True),
    "executions": lambda store, page: store.executions.list("p1", page),
    "executions by status": lambda store, page: store.executions.list("p1", page, ExecutionStatus.RUNNING),
    "executions by time": lambda store, page: store.executions.list("p1", page, None, MOMENT),
    "executions by all": lambda store, page: store.executions.list("p1", page, ExecutionStatus.RUNNING, MOMENT),
    "tasks": lambda store, page: store.executions.tasks("e1", page),
    "tasks by status": lambda store, page: store.executions.tasks("e1", page, TaskStatus.PENDING),
}


class _Statements:
    """Collects the statements sent to any database while it is active."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    def __enter__(self) -> _Statements:
        event.listen(Engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *exc_info: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            self.seen.append((statement, parameters))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_one_count_and_one_read_along_an_index(store: Store, name: str) -> None:
    running(store, with_pipeline(store))
    with _Statements() as statements:
        LISTS[name](store, Page())
    assert len(statements.seen) == 2
    assert statements.seen[0][0].startswith("SELECT count(")
    database = store.sources._database
    if not database.is_sqlite:
        return  # Its planner reads a table of one row without an index.
    with database.read() as connection:
        statement, parameters = statements.seen[1]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()  # type: ignore[arg-type]
    steps = " ".join(row[3] for row in plan)
    assert "USING INDEX ix_" in steps
    assert "TEMP B-TREE" not in steps


def test_all_pipelines_are_one_read(store: Store) -> None:
    for number in range(5):
        with_pipeline(store, f"p{number}")
    with _Statements() as statements:
        assert len(store.pipelines.all()) == 5
    assert len(statements.seen) == 1
