"""Alembic migrations of the store, run by `ingestion.store.schema`."""
