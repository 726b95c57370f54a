"""Rows of a database as CSV text, typed by the batch and written as Parquet parts.

Arrow's parser converts a batch at once and refuses what it cannot keep exactly; a batch with such a value is
read again as text and cast by the strict rules of `formats`, which reject the rows one by one. So clean rows
are fast, and a bad one costs its batch only.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed
from ingestion.formats.casting import cast
from ingestion.formats.columns import POSITION_COLUMN, Encoding, RawFile, Target
from ingestion.formats.engine import ROW_GROUP, engine, run
from ingestion.formats.rejects import RejectFile
from ingestion.formats.staged import StagedFile, staged_file
from ingestion.formats.typed import Reading, collect_misfits, write_typed
from ingestion.formats.types import arrow_type, literal, quoted
from ingestion.model.schema import FieldType, SchemaField, TableSchema

_BATCH_BYTES = 4 << 20
_ALL_BATCHES_BYTES = 8 << 20
_LEAST_BATCH_BYTES = 256 << 10
PART_BYTES = 64 << 20
"""Text that goes into one file."""
_READING = Reading()
_DECIMALS = (FieldType.NUMERIC, FieldType.BIGNUMERIC)
# An escape of half a character: PostgreSQL's json takes it, as a mere text; no JSON parser does.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
Check = Callable[[], None]


@dataclass(frozen=True)
class StagedColumn:
    """A column on its way. The field of an open decimal is STRING until all values are known."""

    field: SchemaField
    is_open_decimal: bool = False

    def settled(self, known: TableSchema | None) -> StagedColumn:
        """The column as the target has it already, when it is an open decimal that the target knows."""
        there = known.get(self.field.name) if known is not None and self.is_open_decimal else None
        if there is None or there.type not in (*_DECIMALS, FieldType.STRING):
            return self
        digits = {"type": there.type, "precision": there.precision, "scale": there.scale}
        return StagedColumn(self.field.model_copy(update=digits))


@dataclass(frozen=True)
class Part:
    """What one writer has written. Rows taken = rows in `files` + `rejected`."""

    files: Sequence[tuple[Path, int]]
    rejects: Sequence[StagedFile]
    rows: int
    rejected: int


class PartWriter:
    """Takes the rows of one reading and writes them below `folder` as `{prefix}-00000.parquet` and so on.

    `unit` is what positions of rejects count, such as "row". `writers` is how many write at once: they share the
    memory, so that many take as much as few.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        columns: Sequence[StagedColumn],
        label: str,
        unit: str,
        row_group: int,
        part_bytes: int = PART_BYTES,
        check: Check = lambda: None,
        writers: int = 1,
    ) -> None:
        self._folder, self._prefix, self._label, self._unit = folder, prefix, label, unit
        self._row_group, self._part_bytes, self._check = row_group, part_bytes, check
        self._batch_bytes = min(batch_bytes(writers), part_bytes)
        self._targets = [Target(f"c{index}", column.field, True) for index, column in enumerate(columns)]
        self._schema = pa.schema([(target.field.name, _stored(target.field)) for target in self._targets])
        self._parsed = {target.id: _parsed(target.field) for target in self._targets}
        self._rejects = RejectFile(folder / f"{prefix}-rejects.parquet")
        self._writer: pq.ParquetWriter | None = None
        self._files: list[tuple[Path, int]] = []
        self._rows: list[bytes] = []
        self._size = self._written = self._taken = 0
        self._has_json = any(target.field.type is FieldType.JSON for target in self._targets)

    def add(self, row: bytes) -> None:
        """One row of CSV as PostgreSQL writes it: NULL is nothing, an empty text is two quotes."""
        self._rows.append(row)
        self._size += len(row)
        if self._size >= self._batch_bytes:
            self._flush()

    def close(self) -> Part:
        """All rows typed and written."""
        self._flush()
        self._end_file()
        return Part(self._files, self._rejects.close(), self._taken, self._rejects.count)

    def abandon(self) -> None:
        """Release the files without promising anything about them."""
        if self._writer is not None:
            self._writer.close()
        self._rejects.abandon()

    def _flush(self) -> None:
        self._check()
        if not self._rows:
            return
        data, count = b"".join(self._rows), len(self._rows)
        self._rows, size, self._size = [], self._size, 0
        typed = self._quick(data, count)
        self._write(self._strict(data, count) if typed is None else typed)
        self._taken += count
        self._written += size
        if self._written >= self._part_bytes:
            self._end_file()

    def _quick(self, data: bytes, count: int) -> pa.Table | None:
        """The rows of a batch, or None when any of them may not fit."""
        if self._has_json and _HALF_CHARACTER.search(data):
            return None
        try:
            table = _table(data, self._parsed)
        except pa.ArrowInvalid:
            return None
        if table.num_rows != count:
            return None
        return pa.table(
            [_cast(column, field.type) for column, field in zip(table.columns, self._schema, strict=True)],
            schema=self._schema,
        )

    def _strict(self, data: bytes, count: int) -> pa.Table:
        """The rows of a batch that fit; the others are rejected."""
        try:
            texts = _table(data, dict.fromkeys(self._parsed, pa.string()))
        except pa.ArrowInvalid as error:
            first, last = self._taken + 1, self._taken + count
            raise ParseFailed(
                f"{self._label}: there is text that is not UTF-8 between {self._unit} {first} and {last}; convert it "
                f"in a query, as with convert_from"
            ) from error
        if texts.num_rows != count:
            raise ParseFailed(f"{self._label}: {count} rows were sent, but {texts.num_rows} were understood")
        scratch = self._folder / f"{self._prefix}-scratch"
        scratch.mkdir()
        raw_path, typed_path = scratch / "raw.parquet", scratch / "typed.parquet"
        positions = pa.array(range(self._taken + 1, self._taken + count + 1), pa.int64())
        pq.write_table(texts.add_column(0, POSITION_COLUMN, positions), raw_path, compression="lz4")
        raw = RawFile(self._label, raw_path, Encoding.TEXT, dict.fromkeys(self._parsed), count, self._unit)
        before = self._rejects.count
        with engine(scratch) as connection:
            good = write_typed(connection, raw, self._targets, typed_path, _READING, self._row_group, self._check)
            if good < count:
                collect_misfits(connection, raw, self._targets, _READING, self._rejects)
        if good + self._rejects.count - before != count:
            raise ParseFailed(f"{self._label}: {count} rows were sent but not all are accounted for")
        typed = pq.read_table(typed_path)
        shutil.rmtree(scratch)
        columns = [_cast(column, field.type) for column, field in zip(typed.columns, self._schema, strict=True)]
        return pa.table(columns, schema=self._schema)

    def _write(self, table: pa.Table) -> None:
        if table.num_rows == 0:
            return
        if self._writer is None:
            path = self._folder / f"{self._prefix}-{len(self._files):05d}.parquet"
            self._writer = _opened(path, self._schema)
            self._files.append((path, 0))
        self._writer.write_table(table, row_group_size=self._row_group)
        path, rows = self._files[-1]
        self._files[-1] = (path, rows + table.num_rows)

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._written = 0


def batch_bytes(writers: int) -> int:
    """The text that each of so many writers types at once."""
    return max(_LEAST_BATCH_BYTES, min(_BATCH_BYTES, _ALL_BATCHES_BYTES // writers))


def staged(
    columns: Sequence[StagedColumn], parts: Sequence[Part], folder: Path, check: Check = lambda: None
) -> tuple[TableSchema, Sequence[StagedFile]]:
    """The final schema and files of all parts: open decimals become what holds all their values."""
    files = [file for part in parts for file in part.files]
    settled = list(columns)
    if any(column.is_open_decimal for column in columns):
        with engine(folder) as connection:
            settled = [_settled(connection, column, files, check) for column in columns]
            changed = [new.field for new, old in zip(settled, columns, strict=True) if new.field != old.field]
            for path, _ in files:
                _rewrite(connection, path, changed, check)
    schema = TableSchema(fields=tuple(column.field for column in settled))
    return schema, [staged_file(path, rows) for path, rows in files]


def _settled(
    connection: duckdb.DuckDBPyConnection, column: StagedColumn, files: Sequence[tuple[Path, int]], check: Check
) -> StagedColumn:
    if not column.is_open_decimal:
        return column
    text = quoted(column.field.name)
    for kind in _DECIMALS:
        field = column.field.model_copy(update={"type": kind})
        misfit = f"{text} IS NOT NULL AND {cast(text, field)} IS NULL"
        sources = (f"SELECT 1 FROM read_parquet({literal(str(path))}) WHERE {misfit} LIMIT 1" for path, _ in files)
        if not any(run(connection, source, check) for source in sources):
            return StagedColumn(field)
    return StagedColumn(column.field)


def _rewrite(connection: duckdb.DuckDBPyConnection, path: Path, changed: Sequence[SchemaField], check: Check) -> None:
    """Replace the texts of the changed columns by their values."""
    if not changed:
        return
    replaced = ", ".join(f"{cast(quoted(field.name), field)} AS {quoted(field.name)}" for field in changed)
    fresh = path.with_suffix(".settled")
    run(
        connection,
        f"COPY (SELECT * REPLACE ({replaced}) FROM read_parquet({literal(str(path))})) TO {literal(str(fresh))} "
        f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP})",
        check,
    )
    fresh.replace(path)


def _opened(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)


def _stored(field: SchemaField) -> pa.DataType:
    """How the column is written: JSON as what it is, so that readers need not be told."""
    return pa.json_() if field.type is FieldType.JSON else arrow_type(field)


def _parsed(field: SchemaField) -> pa.DataType:
    """What the parser makes of the column's text."""
    return pa.string() if field.type in (FieldType.BYTES, FieldType.JSON) else arrow_type(field)


def _table(data: bytes, types: dict[str, pa.DataType]) -> pa.Table:
    return pa_csv.read_csv(
        io.BytesIO(data),
        pa_csv.ReadOptions(column_names=list(types), use_threads=False, block_size=len(data) + 1),
        pa_csv.ParseOptions(delimiter=",", quote_char='"', newlines_in_values=True, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t", "1"],
            false_values=["f", "0"],
            timestamp_parsers=[pa_csv.ISO8601],
        ),
    )


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The column in the type it is written in, which holds all its values."""
    if column.type == wanted:
        return column
    if isinstance(wanted, pa.JsonType):
        return pa.chunked_array([pa.ExtensionArray.from_storage(wanted, chunk) for chunk in column.chunks], wanted)
    if wanted == pa.binary() and column.type == pa.string():
        return pa.chunked_array([pa.array([_bytes(text) for text in column.to_pylist()], wanted)], wanted)
    return column.cast(wanted)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
