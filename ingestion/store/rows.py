"""Pages of rows, and what an IntegrityError says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, select
from sqlalchemy.exc import IntegrityError

from ingestion.store.tables import metadata

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for: page `number` (from 1) of pages of `size` items."""

    number: int = 1
    size: int = 20

    @property
    def offset(self) -> int:
        """How many items come before the page."""
        return (self.number - 1) * self.size


@dataclass(frozen=True)
class Rows(Generic[T]):
    """One page of a list, and how many items the whole list has."""

    items: list[T]
    total: int


def page_of(
    connection: Connection,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    page: Page,
    make: Callable[[RowMapping], T],
) -> Rows[T]:
    """The page of the rows that meet all conditions: one query to count, one to read."""
    total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
    if page.offset >= total:
        return Rows([], total)
    query = select(table).where(*conditions).order_by(*order).offset(page.offset).limit(page.size)
    return Rows([make(row) for row in connection.execute(query).mappings()], total)


def violated_column(error: IntegrityError) -> str | None:
    """The column whose unique rule was broken, the first one of several; None for any other rule."""
    cause = error.orig
    if isinstance(cause, psycopg.errors.UniqueViolation):
        table, constraint = str(cause.diag.table_name), str(cause.diag.constraint_name)
        if constraint.startswith("pk_"):
            return next(iter(metadata.tables[table].primary_key)).name
        return constraint.removeprefix(f"uq_{table}_")
    message = str(cause)  # UNIQUE constraint failed: sources.name
    if not message.startswith("UNIQUE constraint failed: "):
        return None
    return message.removeprefix("UNIQUE constraint failed: ").split(",")[0].split(".")[1]
