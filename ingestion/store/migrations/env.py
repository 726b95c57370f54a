"""Runs migrations on the connection, and in the transaction, that `ingestion.store.schema` gives."""

from __future__ import annotations

from alembic import context

from ingestion.store.schema import VERSION_TABLE
from ingestion.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
