"""Ranges of a column, so that several sessions can read one relation at once: every row is in exactly one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from psycopg import sql

from ingestion.errors import QueryFailed
from ingestion.sources.postgres_connection import Session
from ingestion.sources.postgres_relation import Relation
from ingestion.sources.postgres_types import PostgresType
from ingestion.sources.postgres_window import Window, value_sql


@dataclass(frozen=True)
class Parts:
    """The windows that a window falls into, and how many rows they have together."""

    windows: Sequence[Window]
    rows: int


def parts_of(session: Session, relation: Relation, window: Window, column: str, wanted: int) -> Parts:
    """At most `wanted` ranges of the column between its least and greatest value; the first one has the NULLs.

    Raises QueryFailed for a column that is neither a number nor a date or timestamp.
    """
    alias, kind = relation.alias(column), relation.column(column).type
    if not (kind.is_number or kind.is_temporal):
        raise QueryFailed(
            f"partition_column must be a number, a date or a timestamp, but '{column}' is {kind.label}", column=column
        )
    cuts = ", ".join(f"CAST({_cut(kind, index, wanted)} AS text)" for index in range(1, wanted))
    among = f"FILTER (WHERE {ordinary})" if (ordinary := kind.ordinary(alias)) else ""
    row = session.execute(
        sql.SQL(
            f"SELECT rows, {cuts} FROM (SELECT count(*) AS rows, min({alias}) {among} AS low, max({alias}) {among} "
            f"AS high FROM {relation.source} WHERE {window.conditions}) AS span"
        )
    ).fetchone()
    assert row is not None
    bounds = [value_sql(session, cut, kind.label) for cut in dict.fromkeys(row[1:]) if cut is not None]
    return Parts([_within(window, alias, low, high) for low, high in _ranges(bounds)], int(row[0]))


def _cut(kind: PostgresType, index: int, parts: int) -> str:
    """SQL for the value that lies so many parts above the least one. Any value would do: no row lies between parts."""
    share = f"{index}::numeric / {parts}"
    if kind.name == "date":
        return f"low + CAST((high - low) * ({share}) AS integer)"
    if kind.is_temporal:
        return f"low + (high - low) * CAST({share} AS double precision)"
    value = f"low::text::numeric + (high::text::numeric - low::text::numeric) * ({share})"
    return f"CAST(floor({value}) AS {kind.label})" if kind.name in ("int2", "int4", "int8", "oid") else value


def _ranges(bounds: Sequence[str]) -> Sequence[tuple[str | None, str | None]]:
    """Between each bound and the next, open at both ends: what is infinite or NaN lies there."""
    ends: list[str | None] = [None, *bounds, None]
    return list(pairwise(ends))


def _within(window: Window, alias: str, low: str | None, high: str | None) -> Window:
    if low is None and high is None:
        return window
    above = f"{alias} >= {low}" if low is not None else f"({alias} < {high} OR {alias} IS NULL)"
    bounds = [above, *([f"{alias} < {high}"] if low is not None and high is not None else [])]
    return replace(window, conditions=f"{window.conditions} AND {' AND '.join(bounds)}")
