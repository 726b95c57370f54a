"""Knowing, cheaply, that a source or a pipeline changed."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection, select, update

from ingestion.store.tables import definition_token


def note_change(connection: Connection) -> None:
    """Replace the token. Comes first in every transaction that changes a definition.

    The row it locks lets one such transaction run at a time, so that what the transaction reads
    (a free dag_id, the pipelines of a source) is still true when it commits.
    """
    connection.execute(update(definition_token).values(token=uuid4().hex))


def change_token(connection: Connection) -> str:
    """A text that is another one after every change."""
    token: str = connection.execute(select(definition_token.c.token)).scalar_one()
    return token
