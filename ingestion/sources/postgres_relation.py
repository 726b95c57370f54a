"""What is read from PostgreSQL: a table or a query, described by the server itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import generators, sql
from psycopg.pq import ExecStatus

from ingestion.errors import ObjectMissing, QueryFailed
from ingestion.formats.naming import unique_names
from ingestion.model.macros import Interval, bind
from ingestion.model.schema import FieldMode
from ingestion.sources.postgres_connection import Session
from ingestion.sources.postgres_types import PostgresType, ReadColumn, read_column

_KINDS = ["r", "p", "v", "m", "f"]


@dataclass(frozen=True)
class Relation:
    """A table or query as `FROM` takes it, with its columns under the aliases c0, c1, ... and its key columns."""

    label: str
    source: str
    columns: Sequence[ReadColumn]
    keys: tuple[str, ...]

    def alias(self, name: str) -> str:
        """The alias of the column of that name. Raises ObjectMissing when there is none."""
        for index, column in enumerate(self.columns):
            if column.name == name:
                return f"c{index}"
        known = ", ".join(column.name for column in self.columns)
        raise ObjectMissing(f"{self.label} has no column '{name}'; it has {known}", column=name)

    def column(self, name: str) -> ReadColumn:
        """The column of that name."""
        return self.columns[int(self.alias(name)[1:])]


def table_relation(session: Session, name: str) -> Relation:
    """The table, view or materialized view `name` or `schema.name`. Raises ObjectMissing."""
    oid, schema, table = _find(session, name)
    rows = session.execute(
        "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, col_description(a.attrelid, a.attnum) "
        "FROM pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [oid],
    ).fetchall()
    if not rows:
        raise ObjectMissing(f"The table '{name}' has no columns", object=name)
    types = _types(session, [(row[1], row[2]) for row in rows])
    names = unique_names(row[0] for row in rows)
    columns = [
        read_column(
            column, f"c{index}", types[index], FieldMode.REQUIRED if row[3] else FieldMode.NULLABLE, row[4] or None
        )
        for index, (column, row) in enumerate(zip(names, rows, strict=True))
    ]
    source = f"{sql.Identifier(schema, table).as_string(session)} AS source({_aliases(columns)})"
    named = dict(zip((row[0] for row in rows), names, strict=True))
    keys = tuple(named[key] for key in _primary_key(session, oid))
    return Relation(f"The table '{name}'", source, columns, keys)


def _find(session: Session, name: str) -> tuple[int, str, str]:
    """(oid, schema, table). As PostgreSQL would: an exact name first, then its lower-case form."""
    schema, _, table = name.rpartition(".")
    candidates = [(schema, table), ("", name)] if schema else [("", name)]
    candidates += [(schema.lower(), table.lower())]
    for wanted_schema, wanted_table in candidates:
        row = session.execute(
            "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relname = %(table)s AND c.relkind = ANY(%(kinds)s) "
            "AND (n.nspname = %(schema)s OR (%(schema)s = '' AND pg_table_is_visible(c.oid)))",
            {"table": wanted_table, "schema": wanted_schema, "kinds": _KINDS},
        ).fetchone()
        if row is not None:
            return int(row[0]), str(row[1]), str(row[2])
    raise ObjectMissing(f"The database has no table '{name}'", object=name)


def _primary_key(session: Session, oid: int) -> tuple[str, ...]:
    rows = session.execute(
        "SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "WHERE i.indrelid = %s AND i.indisprimary ORDER BY k.place",
        [oid],
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def query_relation(session: Session, query: str, interval: Interval) -> Relation:
    """A client's query, its macros bound by the driver. Raises QueryFailed unless it is one statement that reads."""
    template, values = bind(query, interval)
    with psycopg.ClientCursor(session) as cursor:
        text = cursor.mogrify(_template(template), list(values)).strip()
    text = text.removesuffix(";").rstrip()
    fields = _described(session, text)
    names = unique_names(name for name, _, _ in fields)
    types = _types(session, [(oid, modifier) for _, oid, modifier in fields])
    columns = [read_column(name, f"c{index}", types[index]) for index, name in enumerate(names)]
    # On a line of its own, so that a comment at the query's end does not swallow the bracket.
    return Relation("The query", f"(\n{text}\n) AS source({_aliases(columns)})", columns, ())


def _template(text: str) -> sql.SQL:
    return sql.SQL(text)  # No literal of ours, so it is prepared alone below.


def _described(session: Session, text: str) -> list[tuple[str, int, int]]:
    """(name, type, modifier) of each column, by preparing the query alone: the server takes one statement only.

    What stands alone as one statement cannot break out of the brackets it is put in later.
    """
    session.execute("SELECT 1")  # Opens the snapshot.
    encoding = session.info.encoding
    # Sent and waited for in two steps: libpq's own waiting would stop every other thread of the process.
    session.pgconn.send_prepare(b"", text.encode(encoding))
    (prepared,) = session.wait(generators.execute(session.pgconn))
    if prepared.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared, encoding)
    session.pgconn.send_describe_prepared(b"")
    (described,) = session.wait(generators.execute(session.pgconn))
    fields = [
        ((described.fname(index) or b"").decode(encoding), described.ftype(index), described.fmod(index))
        for index in range(described.nfields)
    ]
    if not fields:
        raise QueryFailed("The query must be a SELECT (or WITH ... SELECT): it returns no columns")
    return fields


def _types(session: Session, wanted: Sequence[tuple[int, int]]) -> list[PostgresType]:
    rows = session.execute(
        "SELECT t.oid, t.typname, t.typtype, t.typcategory = 'A' AND t.typelem <> 0, t.typbasetype, t.typtypmod "
        "FROM pg_type t"
    ).fetchall()
    known: Mapping[int, tuple[Any, ...]] = {row[0]: row for row in rows}
    return [_type(session, known, oid, modifier) for oid, modifier in wanted]


def _type(session: Session, known: Mapping[int, tuple[Any, ...]], oid: int, modifier: int) -> PostgresType:
    row = known[oid]
    while row[4]:  # A domain: what it is based on, with the modifier given there.
        modifier = row[5] if row[5] >= 0 else modifier
        row = known[row[4]]
    label = session.execute("SELECT format_type(%s, %s)", [row[0], modifier]).fetchone()
    return PostgresType(str(row[1]), str(row[2]), bool(row[3]), modifier, str(label[0]) if label else "")


def _aliases(columns: Sequence[ReadColumn]) -> str:
    return ", ".join(f"c{index}" for index in range(len(columns)))
