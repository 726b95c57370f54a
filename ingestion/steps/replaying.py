"""Reading quarantined rows again, as the pipeline is configured now, in place of the source.

Rows carry the id of their record in RECORD_COLUMN from here to the publish, and rejects have it as their position.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import EmptySource, UnexpectedFailure
from ingestion.formats.engine import engine, run
from ingestion.formats.reader import LocalFile, read_files
from ingestion.formats.staged import REJECT_COLUMNS, StagedFile, staged_file
from ingestion.formats.types import duckdb_type, literal, quoted
from ingestion.model.extraction import FileExtraction
from ingestion.model.quarantine import RECORD_COLUMN, QuarantineSelection
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sources.base import Extraction
from ingestion.sql import parquet_relation
from ingestion.steps.context import StepContext
from ingestion.steps.manifest import TRANSFORM_FOLDER, Transformed
from ingestion.steps.raw_rows import (
    NOT_REPLAYABLE,
    RawRows,
    RowFile,
    reading_of_documents,
    reading_of_text,
    reading_of_values,
    records_of,
    sort_records,
)

RECORD_FIELD = SchemaField(name=RECORD_COLUMN, type=FieldType.STRING)
LATER_FOLDER = "later"
_REJECTS = pa.schema([(name, pa.string()) for name in REJECT_COLUMNS])
_IDS = pa.schema([(RECORD_COLUMN, pa.string())])


@dataclass(frozen=True)
class Later:
    """Rows that join the others after the transformation: NDJSON in `file`, and (line, record id) of each."""

    file: Path
    records: Sequence[tuple[int, str]]


def selection_of(ctx: StepContext) -> QuarantineSelection | None:
    """The quarantined rows an execution takes; None when it reads the source."""
    asked = ctx.execution.params().quarantine_replay
    if asked is None:
        return None
    pipeline_id = ctx.pipeline.pipeline_id
    return QuarantineSelection(pipeline_id, asked.record_ids, asked.execution_id, asked.error_code).only_open()


def without_record(schema: TableSchema) -> TableSchema:
    """The columns that come from the rows themselves."""
    return TableSchema(fields=tuple(field for field in schema.fields if field.name != RECORD_COLUMN))


def read_quarantine(
    ctx: StepContext,
    selection: QuarantineSelection,
    folder: Path,
    known: TableSchema | None,
    keys: tuple[str, ...],
) -> tuple[Extraction, Later | None]:
    """Read the OPEN rows of the selection into `folder`. Raises EmptySource when there are none."""
    params = ctx.pipeline.extraction(ctx.source.source_type)
    files = params if isinstance(params, FileExtraction) else FileExtraction()
    work = folder / "raw"
    work.mkdir()
    exported = work / "records.parquet"
    taken = ctx.warehouse.export_quarantine(ctx.target, selection, exported)
    if taken == 0:
        raise EmptySource("the quarantine has no OPEN rows that the replay selects")
    rows = sort_records(exported, work, files)
    reading = _Reading(ctx, folder)
    reading.refuse(rows)
    reading.read(list(rows.texts.values()), reading_of_text(files), known)
    reading.read(rows.documents, reading_of_documents(files), known)
    reading.read(rows.typed, reading_of_values(files, is_source=True), known)
    later = None
    if rows.later:
        later = Later(rows.later[0].path.rename(folder / "later.ndjson"), rows.later[0].records)
    extraction = reading.extraction(keys, taken)
    shutil.rmtree(work)
    found = extraction.rows + extraction.rejected + (len(later.records) if later else 0)
    if found != taken:
        raise UnexpectedFailure(f"{taken} quarantined rows were taken, but {found} were read")
    return extraction, later


def join_later(
    ctx: StepContext, folder: Path, done: Transformed, later: Later, known: TableSchema | None
) -> Transformed:
    """The transformed rows, and those that had been transformed before, in one file."""
    work = folder / TRANSFORM_FOLDER
    work.mkdir(exist_ok=True)
    scratch = work / LATER_FOLDER
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    fields = {field.name.lower(): field for field in known.fields} if known else {}
    fields |= {field.name.lower(): field for field in without_record(done.table_schema).fields}
    reading = _Reading(ctx, scratch)
    file = RowFile(later.file, list(later.records))
    bound = TableSchema(fields=tuple(fields.values()))
    reading.read([file], reading_of_values(FileExtraction(), is_source=False), bound)
    extraction = reading.extraction((), len(later.records))
    schema = _union([without_record(done.table_schema), without_record(extraction.schema)])
    parts = [([folder / done.folder / item.name for item in done.files], done.table_schema)]
    parts.append(([scratch / item.name for item in extraction.files], extraction.schema))
    joined = work / "joined.parquet"
    with engine(scratch) as connection:
        selects = [_as_columns(parquet_relation(paths), own, schema) for paths, own in parts if paths]
        rows = done.rows + extraction.rows
        if selects:
            sql = f"COPY ({' UNION ALL '.join(selects)}) TO {literal(str(joined))} (FORMAT parquet)"
            run(connection, sql, lambda: ctx.progress({"records_processed": 0}))
    rejects = list(done.rejects)
    for item in extraction.rejects:
        moved = (scratch / item.name).rename(work / f"later-{item.name}")
        rejects.append(staged_file(moved, item.rows))
    shutil.rmtree(scratch)
    return done.model_copy(
        update={
            "table_schema": TableSchema(fields=(*schema.fields, RECORD_FIELD)),
            "folder": TRANSFORM_FOLDER,
            "files": (staged_file(joined, rows),) if rows else (),
            "rows": rows,
            "rejects": tuple(rejects),
            "rejected": done.rejected + extraction.rejected,
            "skipped": False,
        }
    )


class _Reading:
    """Reads files of raw rows one kind after another, and puts the records' ids beside them."""

    def __init__(self, ctx: StepContext, folder: Path) -> None:
        self._ctx = ctx
        self._folder = folder
        self._parts: list[tuple[Path, TableSchema, int]] = []
        self._rejects: list[dict[str, str | None]] = []

    def refuse(self, rows: RawRows) -> None:
        """Records that cannot be read again stay, and say why."""
        for record_id, _, reason in rows.refused:
            self._reject(record_id, NOT_REPLAYABLE, None, "a raw row that can be read again", reason)

    def read(self, files: Sequence[RowFile], params: FileExtraction, known: TableSchema | None) -> None:
        """Read one kind; the columns of those read before count as known."""
        if not files:
            return
        folder = self._folder / f"reading-{files[0].path.stem}"
        folder.mkdir()
        told = _union([*([known] if known else []), *(schema for _, schema, _ in self._parts)])
        local = [LocalFile(file.path.name, file.path.stat().st_size, _copied(file.path)) for file in files]
        found = read_files(local, params, folder, told if told.fields else None, None, self._ctx.progress)
        rejected = self._rejected(folder, found.rejects, files)
        kept = [record_id for _, _, record_id in records_of(files) if record_id not in rejected]
        good = sum(file.rows for file in found.files)
        if good != len(kept):
            raise UnexpectedFailure(f"{good} raw rows were read, but {len(kept)} were expected")
        if kept:
            paths = [folder / file.name for file in found.files]
            self._parts.append((self._with_ids(folder, paths, found.schema, kept), found.schema, good))
        else:
            shutil.rmtree(folder)

    def _rejected(self, folder: Path, rejects: Sequence[StagedFile], files: Sequence[RowFile]) -> set[str]:
        places = {(name, line): record_id for name, line, record_id in records_of(files)}
        ids: set[str] = set()
        for file in rejects:
            for row in pq.read_table(folder / file.name).to_pylist():
                record_id = places[(row["object"], int(row["position"].rpartition(" ")[2]))]
                self._reject(record_id, row["error_code"], row["column_name"], row["expected"], row["got"])
                ids.add(record_id)
        return ids

    def _reject(
        self, record_id: str, code: str | None, column: str | None, expected: str | None, got: str | None
    ) -> None:
        self._rejects.append(
            dict.fromkeys(REJECT_COLUMNS, None)
            | {
                "position": record_id, "stage": "extract", "error_code": code, "column_name": column,
                "expected": expected, "got": got,
            }
        )  # fmt: skip

    def _with_ids(self, folder: Path, paths: Sequence[Path], schema: TableSchema, ids: Sequence[str]) -> Path:
        beside = folder / "ids.parquet"
        pq.write_table(pa.table({RECORD_COLUMN: pa.array(ids, pa.string())}, schema=_IDS), beside)
        made = folder / "rows.parquet"
        columns = ", ".join(quoted(name) for name in (*schema.names, RECORD_COLUMN))
        with engine(folder) as connection:
            rows, numbers = parquet_relation(paths), parquet_relation([beside])
            connection.execute(
                f"COPY (SELECT {columns} FROM {rows} POSITIONAL JOIN {numbers}) "
                f"TO {literal(str(made))} (FORMAT parquet)"
            )
        return made

    def extraction(self, keys: tuple[str, ...], taken: int) -> Extraction:
        """Everything read so far, as if it came from a source."""
        schema = _union([part for _, part, _ in self._parts])
        files = []
        for number, (path, own, rows) in enumerate(self._parts):
            made = self._folder / f"part-{number:05d}.parquet"
            with engine(path.parent) as connection:
                select = _as_columns(parquet_relation([path]), own, schema)
                connection.execute(f"COPY ({select}) TO {literal(str(made))} (FORMAT parquet)")
            files.append(staged_file(made, rows))
            shutil.rmtree(path.parent)
        rejects = []
        if self._rejects:
            made = self._folder / "rejects-00000.parquet"
            pq.write_table(pa.Table.from_pylist(self._rejects, schema=_REJECTS), made)
            rejects.append(staged_file(made, len(self._rejects)))
        return Extraction(
            schema=TableSchema(fields=(*schema.fields, RECORD_FIELD)) if files else TableSchema(fields=()),
            files=files,
            rejects=rejects,
            rows=sum(file.rows for file in files),
            rejected=len(self._rejects),
            bytes_read=sum(file.size_bytes for file in files),
            keys=keys,
            task_params={"object": f"{taken} quarantined rows", "destination": str(self._folder)},
        )


def _copied(path: Path) -> Callable[[Path], None]:
    def fetch(target: Path) -> None:
        shutil.copyfile(path, target)

    return fetch


def _union(schemas: Sequence[TableSchema]) -> TableSchema:
    fields: dict[str, SchemaField] = {}
    for schema in schemas:
        for field in without_record(schema).fields:
            fields.setdefault(field.name.lower(), field)
    return TableSchema(fields=tuple(fields.values()))


def _as_columns(relation: str, own: TableSchema, schema: TableSchema) -> str:
    """A SELECT of a relation's rows in the columns of `schema`, and their records."""
    columns = ", ".join(
        f"CAST({quoted(found.name) if (found := own.get(field.name)) else 'NULL'} AS {duckdb_type(field)}) "
        f"AS {quoted(field.name)}"
        for field in schema.fields
    )
    return f"SELECT {columns}{', ' if columns else ''}{quoted(RECORD_COLUMN)} FROM {relation}"
