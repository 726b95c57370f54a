"""`transformation_params` as one DuckDB SELECT. Pure: text and schemas in, text and schema out.

Order of the parts: rename, convert (type_conversions, then apply_schema, then convert_timestamps),
calculate, filter, deduplicate, drop. Expressions see columns by their new names, and calculated fields
the ones before them. Every row gets an outcome; none disappears.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import duckdb

from ingestion.errors import SchemaMismatch
from ingestion.formats.described import field_from_duckdb
from ingestion.formats.types import duckdb_type, literal, quoted, type_label
from ingestion.model.pipeline import TransformationParams
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sql import column_list, expression_problem, ordering_problem
from ingestion.steps.column_names import missing_columns, new_names
from ingestion.steps.conversions import convert, field_of, text_of

POSITION = "_ingestion position"
OUTCOME = "_ingestion outcome"
PROBLEM = "_ingestion problem"
"""Columns of the SELECT beside the rows' own: number of the source row, Outcome, what is wrong with it."""

_ATTEMPT = "_ingestion attempt"
_PROBLEM_TYPE = "STRUCT(code VARCHAR, column_name VARCHAR, expected VARCHAR, got VARCHAR)"


class Outcome(StrEnum):
    """What became of a source row."""

    KEPT = "kept"
    REJECTED = "rejected"
    FILTERED = "filtered"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Transformation:
    """`select` answers every source row with POSITION, OUTCOME and PROBLEM, then the columns of `schema`."""

    select: str
    schema: TableSchema
    is_identity: bool


def asks_for_nothing(params: TransformationParams | None) -> bool:
    """Whether the parameters leave every row as it is, whatever the rows are."""
    return params is None or not any(value for _, value in params)


def compile_transformation(
    params: TransformationParams,
    source: TableSchema,
    relation: str,
    known: TableSchema | None = None,
    timestamps: Iterable[str] = (),
) -> Transformation:
    """The SELECT over `relation`, which has the columns of `source`.

    `known` is what apply_schema casts to, `timestamps` are source columns found to hold timestamps.
    Raises SchemaMismatch for columns that are not there and expressions that do not fit the columns.
    """
    with duckdb.connect() as connection:
        compiler = _Compiler(connection, params, source, known)
        compiler.rename_and_convert(frozenset(timestamps))
        for name, expression in (params.calculated_fields or {}).items():
            compiler.calculate(name, expression)
        if params.filter is not None:
            compiler.filter(params.filter)
        if params.deduplicate is not None:
            compiler.deduplicate(params.deduplicate.keys, params.deduplicate.order_by)
        compiler.drop(params.drop or ())
    return Transformation(
        select=compiler.select(relation),
        schema=TableSchema(fields=tuple(compiler.fields)),
        is_identity=compiler.is_identity,
    )


@dataclass
class _Compiler:
    """Builds the query layer by layer; each layer reads the one before as `t`.

    `connection` is an empty database in which expressions are tried on empty tables, to learn their types.
    """

    connection: duckdb.DuckDBPyConnection
    params: TransformationParams
    source: TableSchema
    known: TableSchema | None
    layers: list[str] = field(default_factory=list)
    fields: list[SchemaField] = field(default_factory=list)
    is_identity: bool = True

    def rename_and_convert(self, timestamps: frozenset[str]) -> None:
        names = new_names(self.params, self.source)
        self._check_conversions(names)
        converted: list[str] = []
        problems: list[str] = []
        for column in self.source.fields:
            target = self._target_of(column, names[column.name], timestamps)
            expression = convert(quoted(column.name), column, target)
            converted.append(f"{expression} AS {quoted(target.name)}")
            self.fields.append(target)
            self.is_identity &= expression == quoted(column.name) and target.name == column.name
            if expression != quoted(column.name):
                problems.append(_conversion_problem(column, target, expression))
        found = f"CASE {' '.join(problems)} END" if problems else "NULL"
        self.layers.append(
            f"SELECT {quoted(POSITION)}, CAST({found} AS {_PROBLEM_TYPE}) AS {quoted(PROBLEM)}, "
            f"'{Outcome.KEPT}' AS {quoted(OUTCOME)}, {', '.join(converted)} FROM t"
        )
        if problems:
            self._reject_problems()

    def _check_conversions(self, names: Mapping[str, str]) -> None:
        there = {name.lower() for pair in names.items() for name in pair}
        unknown = [name for name in self.params.type_conversions or {} if name.lower() not in there]
        if unknown:
            raise missing_columns("type_conversions", unknown, self.source)

    def _target_of(self, column: SchemaField, name: str, timestamps: frozenset[str]) -> SchemaField:
        asked = {old.lower(): kind for old, kind in (self.params.type_conversions or {}).items()}
        type_name = asked.get(name.lower()) or asked.get(column.name.lower())
        there = self.known.get(name) if self.known else None
        kept = column.model_copy(update={"name": name})
        if type_name is not None:
            wanted = field_of(name, type_name)
        elif self.params.apply_schema and there is not None:
            wanted = there
        elif column.name in timestamps or (
            self.params.convert_timestamps
            and column.type is FieldType.STRING
            and there is not None
            and there.type is FieldType.TIMESTAMP
        ):
            wanted = SchemaField(name=name, type=FieldType.TIMESTAMP)
        else:
            return kept
        if duckdb_type(wanted) == duckdb_type(column):
            return kept
        mode = wanted.mode if wanted.mode is FieldMode.REPEATED else column.mode
        return wanted.model_copy(update={"name": name, "mode": mode, "description": column.description})

    def calculate(self, name: str, expression: str) -> None:
        self.is_identity = False
        kind = self._type_of(f"the calculated field {name}", expression)
        result = _described(name, kind)
        others = [known.name for known in self.fields if known.name.lower() != name.lower()]
        attempt = f"TRY({{'value': CAST((\n{expression}\n) AS {duckdb_type(result)})}})"
        self._attempt(attempt)
        failed = _expression_failure(name, expression)
        self.layers.append(
            f"SELECT {quoted(POSITION)}, {self._problem_or(failed)} AS {quoted(PROBLEM)}, {quoted(OUTCOME)}, "
            f"{column_list(others)}{', ' if others else ''}{quoted(_ATTEMPT)}.value AS {quoted(name)} FROM t"
        )
        self._reject_problems()
        self.fields = [known for known in self.fields if known.name.lower() != name.lower()] + [result]

    def filter(self, expression: str) -> None:
        self.is_identity = False
        kind = self._type_of("the filter", f"CAST((\n{expression}\n) AS BOOLEAN)")
        self._attempt(f"TRY({{'value': CAST((\n{expression}\n) AS {kind})}})")
        failed = _expression_failure("filter", expression)
        self.layers.append(
            f"SELECT {quoted(POSITION)}, {self._problem_or(failed)} AS {quoted(PROBLEM)}, "
            f"CASE WHEN {quoted(OUTCOME)} = '{Outcome.KEPT}' AND {quoted(_ATTEMPT)} IS NOT NULL "
            f"AND {quoted(_ATTEMPT)}.value IS NOT TRUE THEN '{Outcome.FILTERED}' ELSE {quoted(OUTCOME)} END "
            f"AS {quoted(OUTCOME)}, {self._columns()} FROM t"
        )
        self._reject_problems()

    def deduplicate(self, keys: Sequence[str], order_by: str | None) -> None:
        self.is_identity = False
        schema = TableSchema(fields=tuple(self.fields))
        unknown = [name for name in keys if schema.get(name) is None]
        if unknown:
            raise missing_columns("deduplicate.keys", unknown, schema)
        if problem := ordering_problem(order_by) if order_by else None:
            raise SchemaMismatch(f"deduplicate.order_by: {problem}")
        # The position makes the choice between equal rows the same at every attempt.
        order = f"{order_by}\n, {quoted(POSITION)}" if order_by else quoted(POSITION)
        place = f"row_number() OVER (PARTITION BY {quoted(OUTCOME)}, {column_list(keys)} ORDER BY {order})"
        layer = (
            f"SELECT {quoted(POSITION)}, {quoted(PROBLEM)}, "
            f"CASE WHEN {quoted(OUTCOME)} = '{Outcome.KEPT}' AND {place} > 1 THEN '{Outcome.DUPLICATE}' "
            f"ELSE {quoted(OUTCOME)} END AS {quoted(OUTCOME)}, {self._columns()} FROM t"
        )
        self._describe("deduplicate.order_by", layer)
        self.layers.append(layer)

    def drop(self, names: Sequence[str]) -> None:
        schema = TableSchema(fields=tuple(self.fields))
        unknown = [name for name in names if schema.get(name) is None]
        if unknown:
            raise missing_columns("drop", unknown, schema)
        dropped = {name.lower() for name in names}
        self.is_identity &= not dropped
        self.fields = [known for known in self.fields if known.name.lower() not in dropped]
        if not self.fields:
            raise SchemaMismatch("drop leaves no column")

    def select(self, relation: str) -> str:
        """The whole query."""
        query = f"SELECT row_number() OVER () AS {quoted(POSITION)}, {column_list(self.source.names)} FROM {relation}"
        for layer in [*self.layers, f"SELECT {column_list((POSITION, OUTCOME, PROBLEM))}, {self._columns()} FROM t"]:
            query = f"WITH t AS ({query}) {layer}"
        return query

    def _columns(self) -> str:
        return column_list(known.name for known in self.fields)

    def _attempt(self, attempt: str) -> None:
        """Add a value that is NULL as a whole when its expression failed. Rows already out are not tried."""
        self.layers.append(
            f"SELECT *, CASE WHEN {quoted(OUTCOME)} = '{Outcome.KEPT}' THEN {attempt} END AS {quoted(_ATTEMPT)} FROM t"
        )

    def _problem_or(self, failed: str) -> str:
        is_failed = f"{quoted(OUTCOME)} = '{Outcome.KEPT}' AND {quoted(_ATTEMPT)} IS NULL"
        return f"CASE WHEN {is_failed} THEN {failed} ELSE {quoted(PROBLEM)} END"

    def _reject_problems(self) -> None:
        self.layers.append(
            f"SELECT * REPLACE (CASE WHEN {quoted(PROBLEM)} IS NOT NULL THEN '{Outcome.REJECTED}' "
            f"ELSE {quoted(OUTCOME)} END AS {quoted(OUTCOME)}) FROM t"
        )

    def _type_of(self, what: str, expression: str) -> str:
        problem = expression_problem(expression)
        if problem is not None:
            raise SchemaMismatch(f"{what}: {problem}")
        rows = self._describe(what, f"SELECT (\n{expression}\n) AS value FROM t")
        return rows[0][1]

    def _describe(self, what: str, layer: str) -> list[tuple[str, str]]:
        columns = ", ".join(f"{quoted(known.name)} {duckdb_type(known)}" for known in self.fields)
        own = f"{quoted(POSITION)} BIGINT, {quoted(OUTCOME)} VARCHAR, {quoted(PROBLEM)} {_PROBLEM_TYPE}"
        self.connection.execute(f"CREATE OR REPLACE TABLE t ({columns}, {own})")
        try:
            return [(row[0], row[1]) for row in self.connection.execute(f"DESCRIBE {layer}").fetchall()]
        except duckdb.Error as error:
            # DuckDB's first line says it all; the rest are hints and the query.
            reason = str(error).splitlines()[0]
            names = ", ".join(known.name for known in self.fields)
            raise SchemaMismatch(f"{what} does not fit the columns {names}: {reason}") from error


def _described(name: str, kind: str) -> SchemaField:
    if kind == '"NULL"':
        return SchemaField(name=name, type=FieldType.STRING)
    try:
        return field_from_duckdb(name, kind)
    except ValueError as error:
        raise SchemaMismatch(str(error), column=name) from error


def _conversion_problem(column: SchemaField, target: SchemaField, expression: str) -> str:
    got = text_of(quoted(column.name), column)
    return (
        f"WHEN {got} IS NOT NULL AND ({expression}) IS NULL THEN "
        f"struct_pack(code := 'CONVERSION_FAILED', column_name := {literal(target.name)}, "
        f"expected := {literal(type_label(target))}, got := {got})"
    )


def _expression_failure(name: str, expression: str) -> str:
    return (
        f"struct_pack(code := 'EXPRESSION_FAILED', column_name := {literal(name)}, "
        f"expected := {literal(expression)}, got := CAST(NULL AS VARCHAR))"
    )
