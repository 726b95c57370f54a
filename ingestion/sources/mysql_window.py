"""Which rows of a relation are read: all, those above the cursor, or those of some days; and in which parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from ingestion.errors import QueryFailed, SchemaMismatch
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction
from ingestion.model.extraction.databases import NullCursor
from ingestion.model.schema import FieldType
from ingestion.sources.base import Cursor
from ingestion.sources.mysql_connection import Session
from ingestion.sources.mysql_relation import Relation
from ingestion.sources.mysql_types import ReadColumn

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Window:
    """`conditions` is SQL; `cursor` is where the next read begins.

    `read_from` is where this one begins when that lies below its cursor.
    """

    conditions: str = "TRUE"
    cursor: Cursor | None = None
    read_from: Cursor | None = None


@dataclass(frozen=True)
class Parts:
    """The windows that a window falls into, and how many rows they have together."""

    windows: Sequence[Window]
    rows: int


def window_of(
    session: Session, relation: Relation, params: DatabaseExtraction, cursor: Cursor | None, execution: ExecutionParams
) -> Window:
    """The rows an execution reads.

    With dates: those of the days, both included, and no cursor moves. With a key: from the cursor (less the
    look-back), included, to the greatest key now, included; rows whose key is NULL or a zero-date have no place
    in that order, `null_cursor` says what becomes of them.
    """
    if params.incremental_key is None:
        return Window()
    key = relation.column(params.incremental_key)
    if not key.has_order:
        raise QueryFailed(f"incremental_key '{key.name}' is {key.field.type}, which has no order to follow")
    if execution.start_date is not None or execution.end_date is not None:
        return _days(session, key, execution.start_date, execution.end_date)
    return _following(session, relation, key, params, cursor)


def _following(
    session: Session, relation: Relation, key: ReadColumn, params: DatabaseExtraction, cursor: Cursor | None
) -> Window:
    lookback = _lookback(key, params)
    apart = _apart(session, relation, key, params.null_cursor_policy)
    bounds = [key.ordinary] if key.ordinary else []
    above = [*bounds, _bound(session, key, ">=", cursor.value)] if cursor is not None else bounds
    greatest = key.text(f"MAX({key.column})")
    found = session.text(f"SELECT {greatest} FROM {relation.source} WHERE {' AND '.join(above) or 'TRUE'}")
    upper = found if found is not None else cursor.value if cursor is not None else None
    name = params.incremental_key or key.name
    if upper is None:
        return Window(apart or "FALSE", cursor)
    lower, read_from = None if cursor is None else cursor.value, None
    if cursor is not None and lookback:
        lower = _below(session, key, cursor.value, lookback)
        read_from = Cursor(name, lower)
    if lower is not None:
        bounds.append(_bound(session, key, ">=", lower))
    inside = " AND ".join([*bounds, _bound(session, key, "<=", upper)])
    return Window(f"(({inside}) OR {apart})" if apart else inside, Cursor(name, upper), read_from)


def _apart(session: Session, relation: Relation, key: ReadColumn, policy: NullCursor) -> str | None:
    """SQL for the rows outside of the order that are read with the others."""
    apart = f"({key.column} IS NULL" + (f" OR NOT ({key.ordinary}))" if key.ordinary else ")")
    if policy is NullCursor.READ:
        return apart
    if policy is NullCursor.FAIL:
        found = session.text(f"SELECT COUNT(*) FROM {relation.source} WHERE {apart}")
        if found != "0":
            raise SchemaMismatch(
                f"{relation.label} has {found} rows whose '{key.name}' is NULL (or a zero-date), and null_cursor is "
                f"'fail'; repair them, or let them be read or skipped",
                column=key.name,
            )
    return None


def _lookback(key: ReadColumn, params: DatabaseExtraction) -> int:
    fits = key.is_temporal or (key.is_number and not params.lookback_is_time)
    if params.lookback is not None and not fits:
        kind = "a time" if params.lookback_is_time else "an amount"
        raise QueryFailed(f"lookback is {kind}, which cannot be taken from '{key.name}': it is {key.field.type}")
    return params.lookback_amount


def _below(session: Session, key: ReadColumn, value: str, lookback: int) -> str:
    """The key's value that lies so far below: the server knows its own calendar. Days are not divided."""
    start = key.value(session.literal(value))
    if key.field.type is FieldType.DATE:
        lowered = f"{start} - INTERVAL {-(-lookback // _DAY_SECONDS)} DAY"
    elif key.is_temporal:
        lowered = f"{start} - INTERVAL {lookback} SECOND"
    else:
        lowered = f"{start} - {lookback}"
    found = session.text(f"SELECT CAST({lowered} AS CHAR)")
    if found is None:
        raise QueryFailed(f"lookback leads from {value} to before the calendar of '{key.name}' begins")
    return found


def _days(session: Session, key: ReadColumn, start: date | None, end: date | None) -> Window:
    if not key.is_temporal:
        raise QueryFailed(
            f"start_date and end_date need an incremental_key that is a date or timestamp, "
            f"but '{key.name}' is {key.field.type}"
        )
    bounds = [_bound(session, key, ">=", start.isoformat())] if start else [str(key.ordinary)]
    if end is not None and end < date.max:  # MySQL's calendar ends where Python's does.
        bounds.append(_bound(session, key, "<", (end + timedelta(days=1)).isoformat()))
    return Window(" AND ".join(bounds))


def _bound(session: Session, key: ReadColumn, operator: str, value: str) -> str:
    return f"{key.column} {operator} {key.value(session.literal(value))}"


def parts_of(session: Session, relation: Relation, window: Window, column: str, wanted: int) -> Parts:
    """At most `wanted` ranges of the column between its least and greatest value; the first one has the NULLs.

    Raises QueryFailed for a column that is neither a number nor a date or timestamp.
    """
    cut = relation.column(column)
    if not (cut.is_number or cut.is_temporal):
        raise QueryFailed(
            f"partition_column must be a number, a date or a timestamp, but '{column}' is {cut.field.type}",
            column=column,
        )
    among = f"CASE WHEN {cut.ordinary} THEN {cut.column} END" if cut.ordinary else cut.column
    (span,) = session.texts(
        f"SELECT COUNT(*), {cut.text(f'MIN({among})')}, {cut.text(f'MAX({among})')} FROM {relation.source} "
        f"WHERE {window.conditions}"
    )
    rows, low, high = int(span[0] or 0), span[1], span[2]
    if low is None or high is None:
        return Parts([window], rows)
    start, end = (cut.value(session.literal(text)) for text in (low, high))
    cuts = ", ".join(f"CAST({_cut(cut, start, end, index, wanted)} AS CHAR)" for index in range(1, wanted))
    (found,) = session.texts(f"SELECT {cuts}")
    bounds = [cut.value(session.literal(text)) for text in dict.fromkeys(found) if text is not None]
    ends: list[str | None] = [None, *bounds, None]
    return Parts([_within(window, cut, low, high) for low, high in itertools.pairwise(ends)], rows)


def _cut(column: ReadColumn, start: str, end: str, index: int, wanted: int) -> str:
    """SQL for the value that lies so many parts above the least one. Any value would do: no row lies between parts."""
    if column.field.type is FieldType.DATE:
        return f"{start} + INTERVAL (DATEDIFF({end}, {start}) * {index} DIV {wanted}) DAY"
    if column.is_temporal:
        return f"{start} + INTERVAL (TIMESTAMPDIFF(SECOND, {start}, {end}) * {index} DIV {wanted}) SECOND"
    value = f"{start} + ({end} - {start}) * ({index} / {wanted})"
    if column.field.type is FieldType.FLOAT:
        return value
    decimals = "CAST({} AS DECIMAL(65, 10))"
    low, high = decimals.format(start), decimals.format(end)
    return f"FLOOR({low} + ({high} - {low}) * {index} / {wanted})"


def _within(window: Window, cut: ReadColumn, low: str | None, high: str | None) -> Window:
    if low is None and high is None:
        return window
    bounds = [f"{cut.column} >= {low}"] if low is not None else []
    if high is not None:
        below = f"{cut.column} < {high}"
        bounds.append(below if low is not None else f"({below} OR {cut.column} IS NULL)")
    return replace(window, conditions=f"{window.conditions} AND {' AND '.join(bounds)}")
