"""Rows of MySQL as lines of CSV that the server makes: one value a row, which is what makes reading it fast.

A driver that makes Python values of every cell needs four times the processor time, and each of the fast drivers
changes some values or ends the process on others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ingestion.errors import TooLarge
from ingestion.sources.database_reading import Amount
from ingestion.sources.database_staging import Part, PartWriter
from ingestion.sources.mysql_connection import Session
from ingestion.sources.mysql_relation import Relation
from ingestion.sources.mysql_types import may_be_marked, unmarked
from ingestion.sources.mysql_window import Window


def select_rows(relation: Relation, window: Window, limit: int | None = None) -> str:
    """The statement that answers each row of the window as one line of CSV."""
    cells = ", ',', ".join(column.expression for column in relation.columns)
    until = "" if limit is None else f" LIMIT {limit}"
    return f"SELECT CONCAT({cells}, '\n') FROM {relation.source} WHERE {window.conditions}{until}"


def read_rows(
    session: Session,
    relation: Relation,
    window: Window,
    writer: PartWriter,
    amount: Amount,
    check: Callable[[], None],
    limit: int | None = None,
) -> Part:
    """Read the rows of the window. `check` is called now and then and may raise, which ends the reading."""
    has_marks = may_be_marked(relation.columns)
    try:
        with closing(session.stream(select_rows(relation, window, limit))) as stream:
            for rows in stream:
                size = 0
                for position, (line,) in enumerate(rows, amount.rows + 1):
                    if line is None:
                        raise _too_large(relation, position)
                    writer.add(unmarked(line) if has_marks else line)
                    size += len(line)
                amount.rows += len(rows)
                amount.bytes += size
                check()
        return writer.close()
    except BaseException:
        writer.abandon()
        raise


def _too_large(relation: Relation, position: int) -> TooLarge:
    """The server answers NULL for a text that is longer than it sends; nothing else makes a line NULL."""
    return TooLarge(
        f"{relation.label}: row {position} is longer than the server's max_allowed_packet as text; raise that, or "
        f"leave the large column out with a query",
        position=position,
    )
