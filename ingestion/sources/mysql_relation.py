"""What is read from MySQL: a table or a query, described by the server itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from MySQLdb.constants import FIELD_TYPE

from ingestion.errors import ExecutionFailure, ObjectMissing, QueryFailed
from ingestion.formats.naming import unique_names
from ingestion.model.macros import Interval, bind
from ingestion.model.schema import FieldType, TableSchema
from ingestion.sources.mysql_connection import Field, Session
from ingestion.sources.mysql_types import ReadColumn, identifier, read_column

# No text of a query holds it: the server takes none with a zero byte.
_PLACEHOLDER = "\0"
_STATEMENT = "ingestion_query"


@dataclass(frozen=True)
class Relation:
    """A table or query as FROM takes it, with its columns and its key columns."""

    label: str
    source: str
    fields: Sequence[Field]
    columns: Sequence[ReadColumn]
    keys: tuple[str, ...] = ()

    def column(self, name: str) -> ReadColumn:
        """The column of that name; as in MySQL, case does not count. Raises ObjectMissing when there is none."""
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        known = ", ".join(column.name for column in self.columns)
        raise ObjectMissing(f"{self.label} has no column '{name}'; it has {known}", column=name)


@dataclass(frozen=True)
class _Facts:
    """What the catalogue tells about a table's columns, by their names."""

    comments: Mapping[str, str]
    json: frozenset[str]
    keys: tuple[str, ...]


def table_relation(session: Session, name: str) -> Relation:
    """The table or view `name` or `database.name`. Raises ObjectMissing."""
    source, database, table = _find(session, name)
    fields = session.fields(f"SELECT * FROM {source} LIMIT 0")
    facts = _facts(session, database, table)
    names = unique_names(field.name for field in fields)
    columns = [
        read_column(column, field, description=facts.comments.get(field.name) or None, is_json=field.name in facts.json)
        for column, field in zip(names, fields, strict=True)
    ]
    named = dict(zip((field.name for field in fields), names, strict=True))
    # A key with an invisible column is not whole here.
    keys = tuple(named[key] for key in facts.keys) if all(key in named for key in facts.keys) else ()
    return Relation(f"The table '{name}'", source, fields, columns, keys)


def _find(session: Session, name: str) -> tuple[str, str, str]:
    """(SQL, database, table): a table of the source's database with the whole name first, then database.table."""
    database, _, table = name.partition(".")
    candidates = [("DATABASE()", name), *([(session.literal(database), table)] if table else [])]
    for in_database, wanted in candidates:
        rows = session.texts(
            f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = {in_database} "
            f"AND table_name = {session.literal(wanted)} ORDER BY BINARY table_name = {session.literal(wanted)} DESC"
        )
        if rows:
            found, exact = str(rows[0][0]), str(rows[0][1])
            return f"{identifier(found)}.{identifier(exact)}", found, exact
    # The catalogue hides what may not be read; the server tells which of the two it is.
    wanted_source = ".".join(identifier(part) for part in ([database, table] if table else [name]))
    session.fields(f"SELECT * FROM {wanted_source} LIMIT 0")
    raise ObjectMissing(f"The database has no table '{name}'", object=name)


def _facts(session: Session, database: str, table: str) -> _Facts:
    where = f"table_schema = {session.literal(database)} AND table_name = {session.literal(table)}"
    comments = session.texts(f"SELECT column_name, column_comment FROM information_schema.columns WHERE {where}")
    keys = session.texts(
        f"SELECT column_name FROM information_schema.statistics WHERE {where} AND index_name = 'PRIMARY' "
        f"ORDER BY seq_in_index"
    )
    return _Facts(
        {str(name): comment or "" for name, comment in comments},
        _json_columns(session, database, table, [str(name) for name, _ in comments]),
        tuple(str(row[0]) for row in keys),
    )


def _json_columns(session: Session, database: str, table: str, names: Sequence[str]) -> frozenset[str]:
    """MariaDB's JSON is text with a check; MySQL has a type of its own, and other columns in its list of checks."""
    try:
        rows = session.texts(
            f"SELECT check_clause FROM information_schema.check_constraints "
            f"WHERE constraint_schema = {session.literal(database)} AND table_name = {session.literal(table)}"
        )
    except ExecutionFailure as error:
        if isinstance(error, ObjectMissing):
            return frozenset()
        raise
    checks = {row[0] for row in rows}
    return frozenset(name for name in names if f"json_valid({identifier(name)})" in checks)


def query_relation(session: Session, query: str, interval: Interval) -> Relation:
    """A client's query, its macros bound as literals. Raises QueryFailed unless it is one statement that reads."""
    template, values = bind(query, interval, _PLACEHOLDER)
    parts = template.split(_PLACEHOLDER)
    if len(parts) != len(values) + 1:
        raise QueryFailed("The query holds a zero byte, which no query can")
    literals = [session.literal(value) for value in values]
    text = "".join(part + literal for part, literal in zip(parts, [*literals, ""], strict=True)).strip()
    text = text.removesuffix(";").rstrip()
    # What stands alone as one statement cannot break out of the brackets it is put in below.
    session.rows(f"PREPARE {_STATEMENT} FROM {session.literal(text)}")
    session.rows(f"DEALLOCATE PREPARE {_STATEMENT}")
    # On a line of its own, so that a comment at the query's end does not swallow the bracket.
    source = f"(\n{text}\n) AS source"
    # Outer joins and unions make NULLs of columns that have none.
    fields = [replace(field, is_nullable=True) for field in session.fields(f"SELECT * FROM {source} LIMIT 0")]
    names = unique_names(field.name for field in fields)
    columns = [read_column(name, field) for name, field in zip(names, fields, strict=True)]
    return Relation("The query", source, fields, columns)


def with_durations(session: Session, relation: Relation, source: str, known: TableSchema | None = None) -> Relation:
    """The relation with each time column as STRING that has a value which is no time of day in `source`.

    A column that the target knows as TIME or STRING stays what it is there.
    """
    open_columns = []
    durations = set()
    for field, column in zip(relation.fields, relation.columns, strict=True):
        there = known.get(column.name) if known is not None else None
        if field.kind != FIELD_TYPE.TIME or (there is not None and there.type is FieldType.TIME):
            continue
        if there is not None and there.type is FieldType.STRING:
            durations.add(column.name)
        else:
            open_columns.append(column)
    if open_columns:
        tests = ", ".join(
            f"MAX({column.column} < '00:00:00' OR {column.column} >= '24:00:00')" for column in open_columns
        )
        (found,) = session.texts(f"SELECT {tests} FROM {source}")
        durations |= {column.name for column, is_outside in zip(open_columns, found, strict=True) if is_outside == "1"}
    columns = [
        read_column(column.name, field, is_duration=True, description=column.field.description)
        if column.name in durations
        else column
        for field, column in zip(relation.fields, relation.columns, strict=True)
    ]
    return replace(relation, columns=columns)
