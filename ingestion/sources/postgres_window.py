"""Which rows of a relation are read: all, those above the cursor, or those of some days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
from psycopg import sql

from ingestion.errors import QueryFailed, SchemaMismatch
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction
from ingestion.model.extraction.databases import NullCursor
from ingestion.sources.base import Cursor
from ingestion.sources.postgres_connection import Session
from ingestion.sources.postgres_relation import Relation
from ingestion.sources.postgres_types import PostgresType

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Window:
    """`conditions` and `order` are SQL without placeholders; `cursor` is where the next read begins.

    `read_from` is where this one begins when that lies below its cursor.
    """

    conditions: str = "true"
    order: str = ""
    cursor: Cursor | None = None
    read_from: Cursor | None = None


@dataclass(frozen=True)
class _Key:
    """The column that an incremental read follows. `ordinary` is SQL for having a place in its order."""

    name: str
    alias: str
    type: PostgresType
    ordinary: str | None

    @property
    def apart(self) -> str:
        """SQL for the rows without a place in the order."""
        return f"({self.alias} IS NULL" + (f" OR NOT ({self.ordinary}))" if self.ordinary else ")")


def window_of(
    session: Session, relation: Relation, params: DatabaseExtraction, cursor: Cursor | None, execution: ExecutionParams
) -> Window:
    """The rows an execution reads.

    With dates: those of the days, both included, and no cursor moves. With a key: from the cursor (less the
    look-back), included, to the greatest key now, included; rows whose key is NULL, NaN or infinite have no
    place in that order, `null_cursor` says what becomes of them.
    """
    if params.incremental_key is None:
        return Window()
    alias, kind = relation.alias(params.incremental_key), relation.column(params.incremental_key).type
    key = _Key(params.incremental_key, alias, kind, kind.ordinary(alias))
    if execution.start_date is not None or execution.end_date is not None:
        return _days(session, key, execution.start_date, execution.end_date)
    return _following(session, relation, key, params, cursor)


def _following(
    session: Session, relation: Relation, key: _Key, params: DatabaseExtraction, cursor: Cursor | None
) -> Window:
    lookback = _lookback(key, params)
    apart = _apart(session, relation, key, params.null_cursor_policy)
    bounds = [key.ordinary] if key.ordinary else []
    above = [*bounds, _bound(session, key, ">=", cursor.value)] if cursor is not None else bounds
    found = _text(
        session, f"SELECT CAST(max({key.alias}) AS text) FROM {relation.source} WHERE {' AND '.join(above) or 'true'}"
    )
    upper = found if found is not None else cursor.value if cursor is not None else None
    if upper is None:
        return Window(apart or "false", "", cursor)
    lower, read_from = None if cursor is None else cursor.value, None
    if cursor is not None and lookback:
        lower = _below(session, key, cursor.value, lookback)
        read_from = Cursor(key.name, lower)
    if lower is not None:
        bounds.append(_bound(session, key, ">=", lower))
    inside = " AND ".join([*bounds, _bound(session, key, "<=", upper)])
    conditions = f"(({inside}) OR {apart})" if apart else inside
    return Window(conditions, f" ORDER BY {key.alias}", Cursor(key.name, upper), read_from)


def _apart(session: Session, relation: Relation, key: _Key, policy: NullCursor) -> str | None:
    """SQL for the rows outside of the order that are read with the others."""
    if policy is NullCursor.READ:
        return key.apart
    if policy is NullCursor.FAIL:
        found = _text(session, f"SELECT CAST(count(*) AS text) FROM {relation.source} WHERE {key.apart}")
        if found != "0":
            raise SchemaMismatch(
                f"{relation.label} has {found} rows whose '{key.name}' is NULL (or NaN or infinite), and null_cursor "
                f"is 'fail'; repair them, or let them be read or skipped",
                column=key.name,
            )
    return None


def _lookback(key: _Key, params: DatabaseExtraction) -> int:
    fits = key.type.is_temporal or (key.type.is_number and not params.lookback_is_time)
    if params.lookback is not None and not fits:
        kind = "a time" if params.lookback_is_time else "an amount"
        raise QueryFailed(f"lookback is {kind}, which cannot be taken from '{key.name}': it is {key.type.label}")
    return params.lookback_amount


def _below(session: Session, key: _Key, value: str, lookback: int) -> str:
    """The key's value that lies so far below: the server knows its own calendar. Days are not divided."""
    amount = str(lookback)
    if key.type.name == "date":
        amount = str(-(-lookback // _DAY_SECONDS))
    elif key.type.is_temporal:
        amount = f"interval '{lookback} seconds'"
    found = _text(session, f"SELECT CAST({_value(session, key, value)} - {amount} AS text)")
    assert found is not None
    return found


def _days(session: Session, key: _Key, start: date | None, end: date | None) -> Window:
    if not key.type.is_temporal:
        raise QueryFailed(
            f"start_date and end_date need an incremental_key that is a date or timestamp, "
            f"but '{key.name}' is {key.type.label}"
        )
    bounds = [(">=", start.isoformat())] if start else []
    if end:
        bounds.append(("<", _day_after(end)))
    given = [_bound(session, key, operator, day) for operator, day in bounds]
    return Window(" AND ".join(given), f" ORDER BY {key.alias}")


def _day_after(day: date) -> str:
    """PostgreSQL's calendar goes on where Python's ends."""
    return "10000-01-01" if day == date.max else (day + timedelta(days=1)).isoformat()


def _bound(session: Session, key: _Key, operator: str, value: str) -> str:
    return f"{key.alias} {operator} {_value(session, key, value)}"


def _value(session: Session, key: _Key, value: str) -> str:
    return value_sql(session, value, key.type.label)


def value_sql(session: Session, value: str, label: str) -> str:
    """A value of that type as SQL; the driver writes the literal."""
    with psycopg.ClientCursor(session) as cursor:
        return f"CAST({cursor.mogrify('%s', [value])} AS {label})"


def _text(session: Session, statement: str) -> str | None:
    row = session.execute(_sql(statement)).fetchone()
    return None if row is None or row[0] is None else str(row[0])


def _sql(text: str) -> sql.SQL:
    return sql.SQL(text)  # Put together from described parts and literals of the driver.
