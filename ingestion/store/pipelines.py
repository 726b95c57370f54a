"""Stored pipelines and every revision they had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ingestion.errors import AlreadyExists, NotFound, PreconditionFailed
from ingestion.model.pipeline import Pipeline
from ingestion.model.source import Source
from ingestion.store.claims import already_running, lock_pipeline, unfinished_execution
from ingestion.store.columns import is_storable
from ingestion.store.definitions import change_token, note_change
from ingestion.store.engine import Database
from ingestion.store.rows import Page, Rows, page_of, violated_column
from ingestion.store.sources import ENTITY as SOURCE
from ingestion.store.tables import pipeline_revisions, pipelines, sources

ENTITY = "Pipeline"
_FIXED = {"pipeline_id", "dag_id", "created_at", "created_by", "revision"}


@dataclass(frozen=True)
class PipelineRow:
    """A pipeline with the source it reads from."""

    pipeline: Pipeline
    source: Source


class PipelineRepository:
    """Pipelines, by id, by dag_id, by revision and as pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pipeline: Pipeline) -> Pipeline:
        """Store a new pipeline as revision 1, under a dag_id made unique by a suffix; answers what was stored.

        Raises NotFound for the source and AlreadyExists when the name is taken.
        """
        with self._database.write() as connection:
            note_change(connection)
            _require_source(connection, pipeline.source_id)
            dag_id = _free_dag_id(connection, pipeline.dag_id)
            stored = pipeline.model_copy(update={"dag_id": dag_id, "revision": 1})
            try:
                connection.execute(insert(pipelines).values(stored.model_dump()))
            except IntegrityError as error:
                raise _already_exists(stored, error) from error
            connection.execute(insert(pipeline_revisions).values(stored.model_dump()))
        return stored

    def get(self, pipeline_id: str) -> Pipeline:
        """The pipeline. Raises NotFound."""
        with self._database.read() as connection:
            return _get(connection, pipeline_id)

    def by_dag_id(self, dag_id: str) -> Pipeline:
        """The pipeline of a job. Raises NotFound."""
        with self._database.read() as connection:
            return _only(connection, pipelines.c.dag_id, dag_id)

    def revision(self, pipeline_id: str, revision: int) -> Pipeline:
        """The pipeline as it was at a revision, also after it was deleted. Raises NotFound."""
        table = pipeline_revisions.c
        query = select(pipeline_revisions).where(table.pipeline_id == pipeline_id, table.revision == revision)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first() if is_storable(pipeline_id) else None
        if row is None:
            raise NotFound(ENTITY, pipeline_id)
        return Pipeline(**row)

    def all(self) -> list[PipelineRow]:
        """Every pipeline with its source, sorted by dag_id."""
        columns = [column.label(f"source__{column.name}") for column in sources.c]
        query = select(*pipelines.c, *columns).join(sources, pipelines.c.source_id == sources.c.source_id)
        with self._database.read() as connection:
            rows = [_row(row) for row in connection.execute(query).mappings()]
        return sorted(rows, key=lambda row: row.pipeline.dag_id)

    def list(self, page: Page, source_id: str | None = None, is_active: bool | None = None) -> Rows[Pipeline]:
        """Pipelines in the order they were created."""
        conditions: list[ColumnElement[bool]] = []
        if source_id is not None:
            if not is_storable(source_id):
                return Rows([], 0)
            conditions.append(pipelines.c.source_id == source_id)
        if is_active is not None:
            conditions.append(pipelines.c.is_active == is_active)
        order = (pipelines.c.created_at, pipelines.c.pipeline_id)
        with self._database.read() as connection:
            return page_of(connection, pipelines, conditions, order, page, lambda row: Pipeline(**row))

    def update(self, pipeline: Pipeline, expected_revision: int) -> None:
        """Store the pipeline's next revision, `expected_revision` + 1. The dag_id stays as it is.

        Raises NotFound for the pipeline or its source, PreconditionFailed when the stored revision is
        another one, AlreadyExists when the name is taken.
        """
        values = pipeline.model_dump(exclude=_FIXED) | {"revision": expected_revision + 1}
        statement = (
            update(pipelines)
            .where(pipelines.c.pipeline_id == pipeline.pipeline_id, pipelines.c.revision == expected_revision)
            .values(values)
        )
        with self._database.write() as connection:
            note_change(connection)
            stored = _get(connection, pipeline.pipeline_id)
            _require_source(connection, pipeline.source_id)
            try:
                changed = connection.execute(statement).rowcount
            except IntegrityError as error:
                raise _already_exists(pipeline, error) from error
            if not changed:
                raise PreconditionFailed(
                    f"{ENTITY} with ID '{pipeline.pipeline_id}' was changed meanwhile: "
                    f"its revision is {stored.revision}, not {expected_revision}"
                )
            current = _get(connection, pipeline.pipeline_id)
            connection.execute(insert(pipeline_revisions).values(current.model_dump()))

    def delete(self, pipeline_id: str) -> None:
        """Remove a pipeline; its revisions and executions stay.

        Raises NotFound, or AlreadyRunning while an execution of it is unfinished.
        """
        with self._database.write() as connection:
            note_change(connection)
            if not is_storable(pipeline_id) or not lock_pipeline(connection, pipeline_id):
                raise NotFound(ENTITY, pipeline_id)
            running = unfinished_execution(connection, pipeline_id)
            if running is not None:
                raise already_running(pipeline_id, running)
            connection.execute(delete(pipelines).where(pipelines.c.pipeline_id == pipeline_id))

    def change_token(self) -> str:
        """A text that is another one after every change to a pipeline or a source. One small read."""
        with self._database.read() as connection:
            return change_token(connection)


def _get(connection: Connection, pipeline_id: str) -> Pipeline:
    return _only(connection, pipelines.c.pipeline_id, pipeline_id)


def _only(connection: Connection, column: ColumnElement[str], value: str) -> Pipeline:
    if is_storable(value):
        row = connection.execute(select(pipelines).where(column == value)).mappings().first()
        if row is not None:
            return Pipeline(**row)
    raise NotFound(ENTITY, value)


def _row(row: RowMapping) -> PipelineRow:
    source = {name.removeprefix("source__"): value for name, value in row.items() if name.startswith("source__")}
    pipeline = {name: value for name, value in row.items() if not name.startswith("source__")}
    return PipelineRow(Pipeline(**pipeline), Source(**source))


def _require_source(connection: Connection, source_id: str) -> None:
    query = select(sources.c.source_id).where(sources.c.source_id == source_id)
    if not is_storable(source_id) or connection.execute(query).first() is None:
        raise NotFound(SOURCE, source_id)


def _free_dag_id(connection: Connection, wanted: str) -> str:
    """`wanted`, or with the first suffix _2, _3, ... that no living pipeline has."""
    column = pipelines.c.dag_id
    query = select(column).where(or_(column == wanted, column.startswith(f"{wanted}_", autoescape=True)))
    taken = set(connection.execute(query).scalars())
    return next(name for name in _numbered(wanted) if name not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}_{number}"


def _already_exists(pipeline: Pipeline, error: IntegrityError) -> Exception:
    column = violated_column(error)
    return error if column is None else AlreadyExists(ENTITY, column, getattr(pipeline, column))
