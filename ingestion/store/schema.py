"""The schema's version: bringing a database to it, and telling whether it is there."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from ingestion.errors import ServiceUnavailable
from ingestion.store.engine import Database, sqlite_file

VERSION_TABLE = "alembic_version_ingestion"

# Any number no other program on the same PostgreSQL server is likely to lock.
_MIGRATION_LOCK = 0x1E6E5710


def migrate(database: Database) -> None:
    """Bring the schema to this version's. One process migrates at a time, in one transaction."""
    if database.is_sqlite:
        sqlite_file(database.url).parent.mkdir(parents=True, exist_ok=True)
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ServiceUnavailable(f"The database's schema is of another version of this service: {error}") from error


def is_current(database: Database) -> bool:
    """Whether the schema is exactly this version's."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return set(context.get_current_heads()) == _heads()


@cache
def _heads() -> set[str]:
    return set(ScriptDirectory.from_config(_config()).get_heads())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "ingestion.store:migrations")
    return config
