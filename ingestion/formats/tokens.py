"""Rows of JSON tokens, in Parquet files until the types are known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed
from ingestion.formats.columns import POSITION_COLUMN, Column, Columns, Encoding, RawFile
from ingestion.formats.json_text import JsonRow
from ingestion.formats.naming import free_name
from ingestion.formats.nested import Misfit, checked_token, is_nested
from ingestion.formats.rejects import Reject

_BATCH_ROWS = 5_000
_BATCH_BYTES = 16 << 20
_MOST_COLUMNS = 5_000


class TokenFiles:
    """Writes rows of tokens; a batch that brings new columns begins a new file."""

    def __init__(self, name: str, unit: str, columns: Columns, path: Path, encoding: Encoding = Encoding.TOKEN) -> None:
        self._encoding = encoding
        self._name = name
        self._unit = unit
        self._columns = columns
        self._path = path
        self._known: dict[str, Column] = {}
        self._nested: dict[str, Column] = {}
        self._batch: list[JsonRow] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._written: list[str] = []
        self._rows = 0
        self._files: list[RawFile] = []

    def add(self, row: JsonRow) -> Misfit | None:
        """Keep a row; or answer what in it does not fit a declared nested column."""
        tokens = dict(row.tokens)
        for name in tokens:
            if name not in self._known:
                self._learn(name)
        for name in self._nested.keys() & tokens.keys():
            field = self._nested[name].fixed
            checked = checked_token(tokens[name], field) if field else tokens[name]
            if isinstance(checked, Misfit):
                return checked
            tokens[name] = checked
        self._batch.append(JsonRow(row.number, tokens))
        self._bytes += sum(map(len, tokens.values()))
        if len(self._batch) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._flush()
        return None

    def close(self) -> Sequence[RawFile]:
        """All files written."""
        if self._batch:
            self._flush()
        self._end_file()
        return self._files

    def abandon(self) -> None:
        """Release the open file."""
        if self._writer is not None:
            self._writer.close()

    def column(self, name: str) -> Column:
        """The column of the members of that name."""
        if name not in self._known:
            self._learn(name)
        return self._known[name]

    def _learn(self, name: str) -> None:
        taken = {column.name.lower() for column in self._known.values()}
        # Keys that differ only in case are different members, but no table can have both names.
        column = self._columns.one(_free(name.strip() or "f", taken))
        self._known[name] = column
        if column.fixed and is_nested(column.fixed):
            self._nested[name] = column
        if len(self._known) > _MOST_COLUMNS:
            raise ParseFailed(
                f"'{self._name}' has rows with more than {_MOST_COLUMNS} different keys", object=self._name
            )

    def _flush(self) -> None:
        names = list(self._known)
        if self._writer is None or names != self._written:
            self._end_file()
            self._begin_file(names)
        arrays = [pa.array([row.number for row in self._batch], pa.int64())]
        for name in names:
            tokens = [row.tokens.get(name) for row in self._batch]
            arrays.append(pa.array([None if token == "null" else token for token in tokens], pa.large_string()))
        assert self._writer is not None
        self._writer.write_batch(pa.record_batch(arrays, schema=self._writer.schema))
        self._rows += len(self._batch)
        self._batch, self._bytes = [], 0

    def _begin_file(self, names: Sequence[str]) -> None:
        schema = pa.schema(
            [(POSITION_COLUMN, pa.int64()), *((self._known[name].id, pa.large_string()) for name in names)]
        )
        self._writer = pq.ParquetWriter(self._file_path(), schema, compression="lz4")
        self._written = list(names)

    def _end_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        fields = {self._known[name].id: None for name in self._written}
        self._files.append(RawFile(self._name, self._file_path(), self._encoding, fields, self._rows, self._unit))
        self._writer, self._rows = None, 0

    def _file_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}.{len(self._files)}")


def _free(name: str, taken: set[str]) -> str:
    return free_name(name, taken) if name.lower() in taken else name


def object_text(tokens: Iterable[tuple[str, str]]) -> str:
    """Members as the JSON object they came from."""
    return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {token}" for key, token in tokens) + "}"


def misfit_reject(name: str, unit: str, row: JsonRow, misfit: Misfit) -> Reject:
    """The reject for a row with something that does not fit a declared nested column."""
    return Reject(
        name,
        f"{unit} {row.number}",
        "TYPE_MISMATCH",
        misfit.path,
        misfit.expected,
        misfit.got,
        object_text(row.tokens.items()),
    )
