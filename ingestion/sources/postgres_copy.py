"""COPY from PostgreSQL into a staging folder: the server's text, cast by the strict rules of `formats`."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from psycopg import sql
from psycopg.abc import Buffer

from ingestion.errors import ParseFailed
from ingestion.formats.casting import cast
from ingestion.formats.cells import CellFile
from ingestion.formats.columns import Encoding, RawFile, Target
from ingestion.formats.engine import engine, row_group_size, run
from ingestion.formats.rejects import RejectFile
from ingestion.formats.staged import StagedFile, staged_file
from ingestion.formats.typed import Reading, collect_misfits, write_typed
from ingestion.formats.types import literal, quoted
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sources.base import Progress
from ingestion.sources.postgres_connection import Session
from ingestion.sources.postgres_relation import Relation
from ingestion.sources.postgres_types import ReadColumn
from ingestion.sources.postgres_window import Window

CHUNK_BYTES = 64 << 20
"""Text that is taken before it is compacted."""
_READING = Reading()
_TICK_SECONDS = 0.5


NULL = "\\N"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parsed_row(data: bytes) -> tuple[list[str], list[int]]:
    """The cells of a row in COPY's text form, and the positions of those that are the text `\\N`, not NULL."""
    line = data.decode().removesuffix("\n")
    cells = line.split("\t")
    if "\\" not in line:
        return cells, []
    literal_nulls: list[int] = []
    for index, cell in enumerate(cells):
        if "\\" in cell and cell != NULL:
            cells[index] = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), cell)
            if cells[index] == NULL:
                literal_nulls.append(index)
    return cells, literal_nulls


@dataclass(frozen=True)
class CopyResult:
    """What was copied: rows sent by the server = `rows` = rows in `files` + `rejected`."""

    schema: TableSchema
    files: Sequence[StagedFile]
    rejects: Sequence[StagedFile]
    rows: int
    rejected: int
    bytes_read: int


class CopyReading:
    """One COPY into the staging folder."""

    def __init__(
        self, relation: Relation, folder: Path, known: TableSchema | None, progress: Progress, chunk_bytes: int
    ) -> None:
        self._relation = relation
        self._folder = folder
        self._known = known
        self._progress = progress
        self._chunk_bytes = chunk_bytes
        self._scratch = folder / "scratch"
        self._ids = [f"c{index}" for index in range(len(relation.columns))]
        self._rows = 0
        self._bytes = 0
        self._ticked = time.monotonic()

    def read(self, opened: Session, window: Window, batch_size: int | None) -> CopyResult:
        """Copy the rows of the window and type them. On an error nothing is promised about the folder."""
        self._scratch.mkdir(parents=True)
        rejects = RejectFile(self._folder / "rejects-00000.parquet")
        try:
            with engine(self._scratch) as connection:
                raws = list(self._copied(opened, window))
                targets = self._targets(connection, raws)
                files = self._typed(connection, raws, targets, rejects, row_group_size(batch_size))
            if sum(file.rows for file in files) + rejects.count != self._rows:
                raise ParseFailed(f"{self._relation.label}: {self._rows} rows were sent but not all are accounted for")
            return CopyResult(
                TableSchema(fields=tuple(target.field for target in targets)),
                files,
                rejects.close(),
                self._rows,
                rejects.count,
                self._bytes,
            )
        except BaseException:
            rejects.abandon()
            raise
        finally:
            shutil.rmtree(self._scratch)

    def _copied(self, opened: Session, window: Window) -> Iterator[RawFile]:
        """Raw files of whole rows, each of about `chunk_bytes` of text."""
        expressions = ", ".join(column.expression for column in self._relation.columns)
        select = f"SELECT {expressions} FROM {self._relation.source} WHERE {window.conditions}{window.order}"
        with opened.cursor() as cursor, cursor.copy(sql.SQL(f"COPY ({select}) TO STDOUT")) as copy:
            rows = iter(copy)  # The server sends row by row.
            while raw := self._chunk(rows):
                yield raw

    def _chunk(self, rows: Iterator[Buffer]) -> RawFile | None:
        path, before, size = self._scratch / f"{self._rows}.raw", self._rows, 0
        with CellFile(path, self._ids, (NULL,), keeps_text=False) as cells:
            for row in rows:
                data = bytes(row)
                size += len(data)
                self._rows += 1
                texts, literal_nulls = parsed_row(data)
                cells.add(texts, self._rows, "", literal_nulls)
                self._tick()
                if size >= self._chunk_bytes:
                    break
        self._bytes += size
        if self._rows == before:
            return None
        return RawFile(self._relation.label, path, Encoding.TEXT, dict.fromkeys(self._ids), cells.rows)

    def _targets(self, connection: duckdb.DuckDBPyConnection, raws: Sequence[RawFile]) -> list[Target]:
        return [
            Target(column_id, column.field or self._decimal(connection, raws, column_id, column), True)
            for column_id, column in zip(self._ids, self._relation.columns, strict=True)
        ]

    def _decimal(
        self, connection: duckdb.DuckDBPyConnection, raws: Sequence[RawFile], column_id: str, column: ReadColumn
    ) -> SchemaField:
        """The field of a decimal without precision: as the target has it, else the first that holds all values."""
        known = self._known.get(column.name) if self._known else None
        shared = {"name": column.name, "mode": column.mode, "description": column.description}
        if known is not None and known.type in (FieldType.NUMERIC, FieldType.BIGNUMERIC, FieldType.STRING):
            return known.model_copy(update=shared)
        for kind in (FieldType.NUMERIC, FieldType.BIGNUMERIC):
            field = SchemaField(name=column.name, type=kind).model_copy(update=shared)
            if all(self._fits(connection, raw, column_id, field) for raw in raws):
                return field
        return SchemaField(name=column.name, type=FieldType.STRING).model_copy(update=shared)

    def _fits(self, connection: duckdb.DuckDBPyConnection, raw: RawFile, column_id: str, field: SchemaField) -> bool:
        text = quoted(column_id)
        misfit = f"{text} IS NOT NULL AND {cast(text, field)} IS NULL"
        found = run(connection, f"SELECT 1 FROM read_parquet({literal(str(raw.path))}) WHERE {misfit} LIMIT 1")
        return not found

    def _typed(
        self,
        connection: duckdb.DuckDBPyConnection,
        raws: Sequence[RawFile],
        targets: Sequence[Target],
        rejects: RejectFile,
        row_group: int,
    ) -> list[StagedFile]:
        files: list[StagedFile] = []
        for raw in raws:
            path = self._folder / f"part-{len(files):05d}.parquet"
            good = write_typed(connection, raw, targets, path, _READING, row_group, self._tick)
            if good < raw.rows:
                collect_misfits(connection, raw, targets, _READING, rejects)
            if good:
                files.append(staged_file(path, good))
            else:
                path.unlink()
            raw.path.unlink()
        return files

    def _tick(self) -> None:
        if time.monotonic() - self._ticked >= _TICK_SECONDS:
            self._ticked = time.monotonic()
            self._progress({"rows_extracted": self._rows, "bytes_processed": self._bytes})
