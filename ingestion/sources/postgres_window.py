"""Which rows of a relation are read: all, those above the cursor, or those of some days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
from psycopg import sql

from ingestion.errors import QueryFailed
from ingestion.model.execution import ExecutionParams
from ingestion.sources.base import Cursor
from ingestion.sources.postgres_connection import Session
from ingestion.sources.postgres_relation import Relation


@dataclass(frozen=True)
class Window:
    """`conditions` and `order` are SQL without placeholders; `cursor` is where the next read begins."""

    conditions: str = "true"
    order: str = ""
    cursor: Cursor | None = None


def window_of(
    session: Session, relation: Relation, key: str | None, cursor: Cursor | None, params: ExecutionParams
) -> Window:
    """The rows an execution reads.

    With dates: those of the days, both included, and no cursor moves. With a key: from the cursor, included,
    to the greatest key now, included; rows whose key is NULL, NaN or infinite have no place in that order and
    are read every time.
    """
    if key is None:
        return Window()
    if params.start_date is not None or params.end_date is not None:
        return _days(session, relation, key, params.start_date, params.end_date)
    alias, kind = relation.alias(key), relation.column(key).type
    ordinary = kind.ordinary(alias)
    bounds = [ordinary] if ordinary else []
    if cursor is not None:
        bounds.append(_bound(session, alias, ">=", cursor.value, kind.label))
    inside = " AND ".join(bounds) or "true"
    row = session.execute(
        _sql(f"SELECT CAST(max({alias}) FILTER (WHERE {inside}) AS text) FROM {relation.source}")
    ).fetchone()
    upper = None if row is None or row[0] is None else str(row[0])
    apart = f"{alias} IS NULL" + (f" OR NOT ({ordinary})" if ordinary else "")
    if upper is None:
        return Window(f"({apart})", "", cursor)
    inside += f" AND {_bound(session, alias, '<=', upper, kind.label)}"
    return Window(f"(({inside}) OR {apart})", f" ORDER BY {alias}", Cursor(key, upper))


def _days(session: Session, relation: Relation, key: str, start: date | None, end: date | None) -> Window:
    alias, kind = relation.alias(key), relation.column(key).type
    if not kind.is_temporal:
        raise QueryFailed(
            f"start_date and end_date need an incremental_key that is a date or timestamp, but '{key}' is {kind.label}"
        )
    bounds = [(">=", start.isoformat())] if start else []
    if end:
        bounds.append(("<", _day_after(end)))
    given = [_bound(session, alias, operator, day, kind.label) for operator, day in bounds]
    return Window(" AND ".join(given), f" ORDER BY {alias}")


def _day_after(day: date) -> str:
    """PostgreSQL's calendar goes on where Python's ends."""
    return "10000-01-01" if day == date.max else (day + timedelta(days=1)).isoformat()


def _bound(session: Session, alias: str, operator: str, value: str, label: str) -> str:
    """A comparison with a value that the driver writes as a literal."""
    with psycopg.ClientCursor(session) as cursor:
        literal = cursor.mogrify("%s", [value])
    return f"{alias} {operator} CAST({literal} AS {label})"


def _sql(text: str) -> sql.SQL:
    return sql.SQL(text)  # Put together from described parts and literals of the driver.
