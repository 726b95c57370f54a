"""The store as one object."""

from __future__ import annotations

from typing import Self

from sqlalchemy import text

from ingestion.store.engine import Database
from ingestion.store.executions import ExecutionRepository
from ingestion.store.idempotency import IdempotencyRepository
from ingestion.store.pipelines import PipelineRepository
from ingestion.store.sources import SourceRepository


class Store:
    """Sources, pipelines, executions and idempotency keys of one deployment, in one database.

    All methods block, may be called from any thread and raise ServiceUnavailable when the database does
    not answer. After a fork the child may go on with the parent's store: it opens its own connections.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.sources = SourceRepository(database)
        self.pipelines = PipelineRepository(database)
        self.executions = ExecutionRepository(database)
        self.idempotency = IdempotencyRepository(database)

    @classmethod
    def open(cls, url: str) -> Self:
        """The store at an address. Connects when first used; ValueError for an unsupported database."""
        return cls(Database(url))

    def migrate(self) -> None:
        """Bring the schema up to date; nothing to do when it is. Several processes may call it at once."""
        # Alembic is a third of the time it takes to import the store, and workers never migrate.
        from ingestion.store.schema import migrate

        migrate(self._database)

    def is_current(self) -> bool:
        """Whether the schema is exactly the one this version works with."""
        from ingestion.store.schema import is_current

        return is_current(self._database)

    def ping(self) -> None:
        """Raises ServiceUnavailable when the database does not answer."""
        with self._database.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
