"""COPY from PostgreSQL into a staging folder: the server's own text, typed by `database_staging`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from psycopg import sql

from ingestion.sources.database_reading import Amount
from ingestion.sources.database_staging import Part, PartWriter
from ingestion.sources.postgres_connection import Session
from ingestion.sources.postgres_relation import Relation
from ingestion.sources.postgres_window import Window

_COUNTED_ROWS = 1_000


def copy_rows(
    opened: Session, relation: Relation, window: Window, writer: PartWriter, amount: Amount, check: Callable[[], None]
) -> Part:
    """Copy the rows of the window. `check` is called now and then and may raise, which ends the COPY."""
    expressions = ", ".join(column.expression for column in relation.columns)
    select = f"SELECT {expressions} FROM {relation.source} WHERE {window.conditions}{window.order}"
    try:
        with opened.cursor() as cursor, cursor.copy(sql.SQL(f"COPY ({select}) TO STDOUT (FORMAT csv)")) as copy:
            uncounted = size = 0
            for row in copy:  # The server sends row by row, as bytes.
                data = cast(bytes, row)
                writer.add(data)
                uncounted += 1
                size += len(data)
                if uncounted == _COUNTED_ROWS:
                    amount.rows += uncounted
                    amount.bytes += size
                    uncounted = size = 0
                    check()
            amount.rows += uncounted
            amount.bytes += size
        return writer.close()
    except BaseException:
        writer.abandon()
        raise
