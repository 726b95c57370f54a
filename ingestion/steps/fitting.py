"""The rows made to fit the target, as `schema_policy` says: what differs is added, converted, refused or quarantined.

Warehouses then only add columns and widen types; every row that has to stay out has its reason here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import SchemaMismatch, UnexpectedFailure
from ingestion.formats.deletion import deletion_test
from ingestion.formats.engine import engine, run
from ingestion.formats.staged import REJECT_COLUMNS, StagedFile, staged_file
from ingestion.formats.types import duckdb_type, literal, quoted, type_label
from ingestion.formats.widening import needs_values_checked, wider
from ingestion.model.load import ChangePolicy
from ingestion.model.quarantine import RECORD_COLUMN
from ingestion.model.schema import FieldMode, SchemaField, TableSchema
from ingestion.sql import column_list, parquet_relation, row_json
from ingestion.steps.context import StepContext
from ingestion.steps.conversions import convert, text_of
from ingestion.steps.manifest import EXTRACT_FOLDER, FIT_FOLDER, TRANSFORM_FOLDER, Manifest, Transformed
from ingestion.steps.plan import WritePlan, policy, rows_schema
from ingestion.steps.replaying import RECORD_FIELD, without_record
from ingestion.steps.staging import empty_folder

_ROWS = "rows.parquet"
_REJECTS = "rejects.parquet"
_POSITION = '"_ingestion position"'
_NEW_COLUMN = "NEW_COLUMN"
_TYPE_MISMATCH = "TYPE_MISMATCH"
# How readers and transformations say that a text is not of its column's type.
_MISFITS = (_TYPE_MISMATCH, "CONVERSION_FAILED")


@dataclass(frozen=True)
class Misfit:
    """Rows for which `test` (SQL over the rows) holds cannot be loaded, or not as they are."""

    test: str
    code: str
    field: SchemaField
    expected: str


@dataclass(frozen=True)
class Fit:
    """What is staged: an SQL expression per column of `schema`, and the rows that stay out."""

    schema: TableSchema
    expressions: Sequence[str]
    misfits: Sequence[Misfit]
    policy: ChangePolicy
    is_identity: bool


def fit(ctx: StepContext, folder: Path, manifest: Manifest, plan: WritePlan) -> Transformed:
    """Write the rows as they are staged; the transformed files serve where nothing has to change.

    Raises SchemaMismatch, with the column and what can be done, where the policy freezes the table.
    """
    rows = manifest.transformation()
    shutil.rmtree(folder / FIT_FOLDER, ignore_errors=True)
    target = _target(ctx, plan)
    is_frozen = policy(ctx.pipeline.settings().load_params).types is ChangePolicy.FREEZE
    if target is not None and is_frozen and not _is_replay(ctx):
        _check_frozen(folder, manifest, target)
    chosen = fitted(rows.table_schema, target, ctx, plan)
    mark = None if plan.disposition.needs_key else plan.mark
    if not rows.files or (chosen.is_identity and mark is None):
        return rows.model_copy(
            update={
                "table_schema": chosen.schema, "rejects": (), "rejected": 0, "filtered": 0, "deduplicated": 0,
                "skipped": True,
            }
        )  # fmt: skip
    work = empty_folder(folder / FIT_FOLDER)
    try:
        with engine(work) as connection:
            return _Writing(ctx, connection, folder, rows, chosen, mark).run()
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _target(ctx: StepContext, plan: WritePlan) -> TableSchema | None:
    """The columns that rows have to fit; None for a table that is not there or is replaced by whatever comes."""
    policies = policy(ctx.pipeline.settings().load_params)
    if plan.replaces and {policies.columns, policies.types} <= {None, ChangePolicy.EVOLVE}:
        return None
    there = ctx.warehouse.state(ctx.pipeline.pipeline_id, ctx.target).schema
    return rows_schema(there, plan.history) if there is not None else None


def fitted(rows: TableSchema, target: TableSchema | None, ctx: StepContext, plan: WritePlan) -> Fit:
    """How rows of a schema fit the target."""
    policies = policy(ctx.pipeline.settings().load_params)
    columns = policies.columns or ChangePolicy.EVOLVE
    types = policies.types or ChangePolicy.EVOLVE
    if _is_replay(ctx) and columns is ChangePolicy.FREEZE:
        columns = ChangePolicy.QUARANTINE
    fields: list[SchemaField] = []
    expressions: list[str] = []
    misfits: list[Misfit] = []
    for field in without_record(rows).fields:
        there = target.get(field.name) if target is not None else field
        if there is None:
            if columns is ChangePolicy.EVOLVE:
                fields.append(field)
                expressions.append(quoted(field.name))
                continue
            if columns is ChangePolicy.FREEZE:
                raise _frozen_column(field, ctx)
            misfits.append(Misfit(f"{quoted(field.name)} IS NOT NULL", _NEW_COLUMN, field, "no such column"))
            continue
        wanted, expression, misfit = _column(field, there, types)
        fields.append(wanted)
        expressions.append(expression)
        misfits += [misfit] if misfit else []
    if plan.replaces and target is not None:
        # A frozen table that is replaced keeps the columns that the rows do not have.
        for absent in (field for field in target.fields if rows.get(field.name) is None):
            fields.append(absent)
            expressions.append(f"CAST(NULL AS {duckdb_type(absent)})")
    if rows.get(RECORD_COLUMN) is not None:
        fields.append(RECORD_FIELD)
        expressions.append(quoted(RECORD_COLUMN))
    is_identity = not misfits and expressions == [quoted(name) for name in rows.names]
    # A row that comes from the quarantine stays there when it does not fit.
    refusal = ChangePolicy.QUARANTINE if _is_replay(ctx) else types
    return Fit(TableSchema(fields=tuple(fields)), expressions, misfits, refusal, is_identity)


def _is_replay(ctx: StepContext) -> bool:
    return ctx.execution.params().quarantine_replay is not None


def _column(field: SchemaField, there: SchemaField, types: ChangePolicy) -> tuple[SchemaField, str, Misfit | None]:
    """What one column is staged as: the field, the SQL, and which rows do not fit."""
    column = quoted(field.name)
    if duckdb_type(field) == duckdb_type(there):
        return field, column, None
    wide = wider(there, field)
    if wide is not None and duckdb_type(wide) != duckdb_type(there) and types is ChangePolicy.EVOLVE:
        there = wide
    wanted = there.model_copy(update={"name": field.name, "mode": _mode(field, there)})
    if wide is not None and duckdb_type(wide) == duckdb_type(wanted) and not needs_values_checked(field, wanted):
        return wanted, f"CAST({column} AS {duckdb_type(wanted)})", None
    try:
        expression = convert(column, field, wanted)
        back = convert(f"({expression})", wanted, field)
    except SchemaMismatch:
        # No rule leads from one type to the other: only rows without a value fit.
        expression, back = f"CAST(NULL AS {duckdb_type(wanted)})", "NULL"
    test = f"{column} IS NOT NULL AND ({back}) IS DISTINCT FROM {column}"
    return wanted, expression, Misfit(test, _TYPE_MISMATCH, field, type_label(wanted))


def _mode(field: SchemaField, there: SchemaField) -> FieldMode:
    return there.mode if there.mode is FieldMode.REPEATED else field.mode


def _frozen_column(field: SchemaField, ctx: StepContext) -> SchemaMismatch:
    table = f"{ctx.target.dataset}.{ctx.target.table}"
    return SchemaMismatch(
        f"the rows have the column {field.name} ({type_label(field)}), which {table} lacks, and "
        "schema_policy.columns is freeze; add the column to the table, leave it out by transformation_params.drop, or "
        "set schema_policy.columns to evolve or quarantine",
        column=field.name,
    )


def _frozen_type(name: str, expected: str, got: str | None, rows: int, table: str) -> SchemaMismatch:
    shown = f", such as {got[:80]!r}" if got else ""
    return SchemaMismatch(
        f"{rows} rows do not fit the column {name} of {table}: {expected} was expected{shown}; correct the source, "
        "convert the column by transformation_params.type_conversions, or set schema_policy.types to quarantine",
        column=name,
        expected=expected,
        got=got,
    )


def _check_frozen(folder: Path, manifest: Manifest, target: TableSchema) -> None:
    """Raises SchemaMismatch when a reader or the transformation rejected a value for its column's type."""
    files = [
        *(folder / EXTRACT_FOLDER / file.name for file in manifest.extracted().rejects),
        *(folder / TRANSFORM_FOLDER / file.name for file in manifest.transformation().rejects),
    ]
    if not files:
        return
    codes = ", ".join(literal(code) for code in _MISFITS)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT column_name, first(expected), first(got), count(*) "
            f"FROM {parquet_relation(files)} WHERE error_code IN ({codes}) AND column_name IS NOT NULL "
            f"GROUP BY column_name ORDER BY column_name"
        ).fetchall()
    for name, expected, got, rows in found:
        if target.get(name) is not None:
            table = f"{manifest.dataset}.{manifest.table}"
            raise _frozen_type(name, expected or "another type", got, rows, table)


class _Writing:
    """One pass that writes the rows that fit, and one for those that do not."""

    def __init__(
        self,
        ctx: StepContext,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        rows: Transformed,
        chosen: Fit,
        mark: str | None,
    ) -> None:
        self._ctx = ctx
        self._connection = connection
        self._folder = folder / FIT_FOLDER
        self._rows = rows
        self._fit = chosen
        self._relation = parquet_relation([folder / rows.folder / file.name for file in rows.files])
        column = rows.table_schema.get(mark) if mark is not None else None
        if mark is not None and column is None:
            raise SchemaMismatch(
                f"the column {mark}, which marks deleted rows, is not among the columns "
                f"{', '.join(rows.table_schema.names)}",
                column=mark,
            )
        self._deleted = deletion_test(column) if column is not None else "false"

    def run(self) -> Transformed:
        """Everything; each row is in one place."""
        misfit = " OR ".join(f"({found.test})" for found in self._fit.misfits) or "false"
        if self._fit.misfits and self._fit.policy is not ChangePolicy.QUARANTINE:
            self._refuse_misfits()
        total, filtered, rejected = self._count(misfit)
        kept = total - filtered - rejected
        columns = ", ".join(
            f"{expression} AS {quoted(name)}"
            for expression, name in zip(self._fit.expressions, self._fit.schema.names, strict=True)
        )
        files = self._write(
            _ROWS, f"SELECT {columns} FROM {self._relation} WHERE NOT ({self._deleted}) AND NOT ({misfit})", kept
        )
        rejects = self._write(_REJECTS, self._rejects(misfit), rejected)
        return Transformed(
            table_schema=self._fit.schema,
            folder=FIT_FOLDER,
            files=files,
            rows=kept,
            rejects=rejects,
            rejected=rejected,
            filtered=filtered,
        )

    def _count(self, misfit: str) -> tuple[int, int, int]:
        row = self._run(
            f"SELECT count(*), count(*) FILTER ({self._deleted}), "
            f"count(*) FILTER (NOT ({self._deleted}) AND ({misfit})) FROM {self._relation}"
        )[0]
        if row[0] != self._rows.rows:
            raise UnexpectedFailure(f"the files hold {row[0]} rows, {self._rows.rows} were expected")
        return int(row[0]), int(row[1]), int(row[2])

    def _refuse_misfits(self) -> None:
        """Raises SchemaMismatch when values of a column do not fit and rows are not to be left out for that.

        New columns are misfits only where their rows are.
        """
        tested = [found for found in self._fit.misfits if found.code == _TYPE_MISMATCH]
        for found in tested:
            count, got = self._run(
                f"SELECT count(*), first({text_of(quoted(found.field.name), found.field)}) FROM {self._relation} "
                f"WHERE NOT ({self._deleted}) AND {found.test}"
            )[0]
            if count:
                table = f"{self._ctx.target.dataset}.{self._ctx.target.table}"
                raise _frozen_type(found.field.name, found.expected, got, count, table)

    def _rejects(self, misfit: str) -> str:
        schema = self._rows.table_schema
        own = without_record(schema)
        found = self._fit.misfits
        place = f"CASE {' '.join(f'WHEN {item.test} THEN {index}' for index, item in enumerate(found))} END"
        described = {
            "error_code": [literal(item.code) for item in found],
            "column_name": [literal(item.field.name) for item in found],
            "expected": [literal(item.expected) for item in found],
            "got": [text_of(quoted(item.field.name), item.field) for item in found],
        }
        values: Mapping[str, str] = {
            "object": "NULL",
            "position": f"'row ' || {_POSITION}" if own == schema else quoted(RECORD_COLUMN),
            "stage": "'load'",
            **{name: _chosen(options) for name, options in described.items()},
            "raw_row": row_json(own),
            "raw_columns": "NULL",
        }
        columns = ", ".join(f"CAST({values[name]} AS {kind}) AS {name}" for name, kind in REJECT_COLUMNS.items())
        numbered = f"SELECT row_number() OVER () AS {_POSITION}, {column_list(schema.names)} FROM {self._relation}"
        return (
            f'SELECT {columns} FROM (SELECT *, {place} AS "_ingestion misfit" FROM ({numbered}) '
            f"WHERE NOT ({self._deleted}) AND ({misfit}))"
        )

    def _write(self, name: str, select: str, expected: int) -> tuple[StagedFile, ...]:
        if expected == 0:
            return ()
        path = self._folder / name
        written = int(self._run(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet)")[0][0])
        if written != expected:
            raise UnexpectedFailure(f"{written} rows were written to {path}, not {expected}")
        return (staged_file(path, written),)

    def _run(self, statement: str) -> Sequence[tuple[Any, ...]]:
        return run(self._connection, statement, lambda: self._ctx.progress({"rows_loaded": 0}))


def _chosen(options: Iterable[str]) -> str:
    """SQL for the option that belongs to the row's first misfit."""
    listed = " ".join(f"WHEN {index} THEN {option}" for index, option in enumerate(options))
    return f'CASE "_ingestion misfit" {listed} END' if listed else "NULL"
