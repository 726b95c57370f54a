"""Text cells in a Parquet file, one column per column id, with each row's line and text beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ingestion.formats.columns import POSITION_COLUMN, TEXT_COLUMN

_BATCH_ROWS = 20_000
_BATCH_CHARACTERS = 16 << 20
_TEXT = pa.large_string()


class CellFile:
    """Collects rows of text cells. A cell that equals a null marker and is not quoted is NULL.

    Most rows are plain lines that a splitter far faster than Python takes a batch at a time; the others come
    as cells. `keeps_text` keeps the rows as they stand too, for those that may be rejected later.
    """

    def __init__(
        self, path: Path, ids: Sequence[str], null_values: Sequence[str], keeps_text: bool, delimiter: str = "\t"
    ) -> None:
        self._ids = list(ids)
        self._delimiter = delimiter
        self._keeps_text = keeps_text
        texts = [TEXT_COLUMN, *ids] if keeps_text else ids
        self._schema = pa.schema([(POSITION_COLUMN, pa.int64()), *((column, _TEXT) for column in texts)])
        self._writer = pq.ParquetWriter(path, self._schema, compression="lz4")
        self._markers = sorted(set(null_values))
        self._numbers: list[int] = []
        self._texts: list[str] = []
        self._plain: list[str] = []
        self._plain_at: list[int] = []
        self._cells: list[Sequence[str]] = []
        self._cells_at: list[int] = []
        self._kept: list[tuple[int, int]] = []
        self._characters = 0
        self.rows = 0

    def add_line(self, line: str, number: int) -> None:
        """Keep a row that is one line of as many cells as there are columns.

        It holds no quotes, no line ends, no byte order mark and only text that UTF-8 can write, and the
        delimiter is one ASCII character.
        """
        self._plain.append(line)
        self._plain_at.append(len(self._numbers))
        self._row(number, line)

    def add_lines(self, text: str, first: int) -> None:
        """Keep many rows at once, the lines of `text`, each of which is as those of `add_line`."""
        count = text.count("\n") + 1
        self._plain.append(text)
        self._plain_at.extend(range(len(self._numbers), len(self._numbers) + count))
        self._numbers.extend(range(first, first + count))
        if self._keeps_text:
            self._texts.extend(text.split("\n"))
        self._characters += len(text)
        self._flush_if_many()

    def add(self, cells: Sequence[str], number: int, text: str, quoted: Sequence[int] = ()) -> None:
        """Keep a row that begins in line `number` and reads `text`; `quoted` are the positions of quoted cells."""
        if quoted:
            self._kept += [(column, len(self._cells)) for column in quoted if cells[column] in self._markers]
        self._cells.append(cells)
        self._cells_at.append(len(self._numbers))
        self._row(number, text)

    def _row(self, number: int, text: str) -> None:
        self._numbers.append(number)
        if self._keeps_text:
            self._texts.append(text)
        self._characters += len(text)
        self._flush_if_many()

    def _flush_if_many(self) -> None:
        if len(self._numbers) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._numbers:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        parts = [part for part in (self._plain_part(), self._cells_part()) if part is not None]
        table = pa.concat_tables(parts)
        if len(parts) > 1:
            order = pa.array([*self._plain_at, *self._cells_at])
            table = table.take(pc.sort_indices(order))
        arrays = [pa.array(self._numbers, pa.int64())]
        if self._keeps_text:
            arrays.append(pa.array(self._texts, _TEXT))
        self._writer.write_table(pa.table([*arrays, *table.columns], schema=self._schema))
        self.rows += len(self._numbers)
        self._numbers, self._texts, self._kept, self._characters = [], [], [], 0
        self._plain, self._plain_at, self._cells, self._cells_at = [], [], [], []

    def _plain_part(self) -> pa.Table | None:
        if not self._plain:
            return None
        data = ("\n".join(self._plain) + "\n").encode()
        table = pa_csv.read_csv(
            io.BytesIO(data),
            pa_csv.ReadOptions(column_names=self._ids, use_threads=False, block_size=len(data) + 1),
            pa_csv.ParseOptions(delimiter=self._delimiter, quote_char=False, ignore_empty_lines=False),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self._ids, _TEXT), null_values=self._markers, strings_can_be_null=True
            ),
        )
        if table.num_rows != len(self._plain_at):
            raise AssertionError(f"{len(self._plain_at)} lines were split into {table.num_rows} rows")
        return table

    def _cells_part(self) -> pa.Table | None:
        if not self._cells:
            return None
        kept: dict[int, list[int]] = {}
        for column, row in self._kept:
            kept.setdefault(column, []).append(row)
        columns = [
            self._column(pa.array(cells, _TEXT), kept.get(index, []))
            for index, cells in enumerate(zip(*self._cells, strict=True))
        ]
        return pa.table(columns, names=self._ids)

    def _column(self, array: pa.Array, kept: Sequence[int]) -> pa.Array:
        if not self._markers:
            return array
        is_null = pc.is_in(array, value_set=pa.array(self._markers, _TEXT))
        if kept:
            flags = is_null.to_pylist()
            for row in kept:
                flags[row] = False
            is_null = pa.array(flags, pa.bool_())
        return pc.if_else(is_null, pa.scalar(None, _TEXT), array)
