"""Stored sources."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ingestion.errors import AlreadyExists, NotFound, PreconditionFailed, ResourceInUse
from ingestion.model.source import Source, SourceStatus, SourceType
from ingestion.store.columns import is_storable
from ingestion.store.definitions import note_change
from ingestion.store.engine import Database
from ingestion.store.rows import Page, Rows, page_of, violated_column
from ingestion.store.tables import pipelines, sources

ENTITY = "Source system"
_FIXED = {"source_id", "source_type", "created_at", "created_by", "version"}


class SourceRepository:
    """Sources, by id and as pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, source: Source) -> None:
        """Store a new source. Raises AlreadyExists when its name is taken."""
        with self._database.write() as connection:
            note_change(connection)
            try:
                connection.execute(insert(sources).values(source.model_dump()))
            except IntegrityError as error:
                raise _already_exists(source, error) from error

    def get(self, source_id: str) -> Source:
        """The source. Raises NotFound."""
        with self._database.read() as connection:
            return _get(connection, source_id)

    def list(
        self, page: Page, source_type: SourceType | None = None, status: SourceStatus | None = None
    ) -> Rows[Source]:
        """Sources in the order they were created."""
        conditions: list[ColumnElement[bool]] = []
        if source_type is not None:
            conditions.append(sources.c.source_type == source_type)
        if status is not None:
            conditions.append(sources.c.status == status)
        order = (sources.c.created_at, sources.c.source_id)
        with self._database.read() as connection:
            return page_of(connection, sources, conditions, order, page, lambda row: Source(**row))

    def all(self) -> Sequence[Source]:
        """Every source, in the order they were created."""
        query = select(sources).order_by(sources.c.created_at, sources.c.source_id)
        with self._database.read() as connection:
            return [Source(**row) for row in connection.execute(query).mappings()]

    def names(self) -> Sequence[tuple[str, str]]:
        """(source_id, name) of every source, in the order they were created."""
        column = sources.c
        query = select(column.source_id, column.name).order_by(column.created_at, column.source_id)
        with self._database.read() as connection:
            return [(source_id, name) for source_id, name in connection.execute(query)]

    def update(self, source: Source, expected_version: int) -> None:
        """Replace what may change of a source; its version becomes `expected_version` + 1.

        Raises NotFound, PreconditionFailed when the stored version is another one, AlreadyExists.
        """
        values = source.model_dump(exclude=_FIXED) | {"version": expected_version + 1}
        statement = (
            update(sources)
            .where(sources.c.source_id == source.source_id, sources.c.version == expected_version)
            .values(values)
        )
        with self._database.write() as connection:
            note_change(connection)
            try:
                changed = connection.execute(statement).rowcount
            except IntegrityError as error:
                raise _already_exists(source, error) from error
            if not changed:
                stored = _get(connection, source.source_id)
                raise PreconditionFailed(
                    f"{ENTITY} with ID '{source.source_id}' was changed meanwhile: "
                    f"its version is {stored.version}, not {expected_version}"
                )

    def delete(self, source_id: str) -> None:
        """Remove a source. Raises NotFound, or ResourceInUse while pipelines read from it."""
        with self._database.write() as connection:
            note_change(connection)
            _get(connection, source_id)
            using = select(pipelines.c.pipeline_name).where(pipelines.c.source_id == source_id)
            names = list(connection.execute(using.order_by(pipelines.c.created_at)).scalars())
            if names:
                raise ResourceInUse(
                    f"{ENTITY} with ID '{source_id}' is used by the pipelines {', '.join(map(repr, names))}",
                    pipelines=names,
                )
            connection.execute(delete(sources).where(sources.c.source_id == source_id))

    def set_status(self, source_id: str, status: SourceStatus) -> None:
        """Note whether the source could be reached. Not a change of the source: version and times stay."""
        with self._database.write() as connection:
            connection.execute(update(sources).where(sources.c.source_id == source_id).values(status=status))


def _get(connection: Connection, source_id: str) -> Source:
    if is_storable(source_id):
        row = connection.execute(select(sources).where(sources.c.source_id == source_id)).mappings().first()
        if row is not None:
            return Source(**row)
    raise NotFound(ENTITY, source_id)


def _already_exists(source: Source, error: IntegrityError) -> Exception:
    column = violated_column(error)
    return error if column is None else AlreadyExists(ENTITY, column, getattr(source, column))
