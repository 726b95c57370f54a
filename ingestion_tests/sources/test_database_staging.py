"""Rows of CSV, as databases give them, in typed files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import ParseFailed
from ingestion.model.schema import FieldType, SchemaField, TableSchema
from ingestion.sources.database_staging import Part, PartWriter, StagedColumn, batch_bytes, staged

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
ROWS = st.lists(st.tuples(st.none() | TEXT, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=30)


def column(name: str, kind: FieldType, is_open_decimal: bool = False) -> StagedColumn:
    return StagedColumn(SchemaField(name=name, type=kind), is_open_decimal)


def csv(*cells: str | int | None) -> bytes:
    """A row as PostgreSQL writes it."""
    texts = ("" if cell is None else str(cell) for cell in cells)
    quoted = (f'"{text.replace(chr(34), chr(34) * 2)}"' for text in texts)
    pairs = zip(cells, quoted, strict=True)
    return (",".join("" if cell is None else text for cell, text in pairs) + "\n").encode()


def written(folder: Path, columns: list[StagedColumn], rows: list[bytes], part_bytes: int = 200) -> Part:
    writer = PartWriter(folder, "part", columns, "The table", "row", 2048, part_bytes)
    for row in rows:
        writer.add(row)
    return writer.close()


@settings(max_examples=20, deadline=None)
@given(ROWS)
def test_every_value_comes_back(rows: list[tuple[str | None, int | None]]) -> None:
    columns = [column("text", FieldType.STRING), column("number", FieldType.INTEGER)]
    with tempfile.TemporaryDirectory() as name:
        part = written(Path(name), columns, [csv(*row) for row in rows])
        found = [tuple(row.values()) for path, _ in part.files for row in pq.read_table(path).to_pylist()]
        assert sum(count for _, count in part.files) == part.rows == len(rows)
    assert found == rows
    assert part.rejected == 0


def test_an_open_decimal_is_settled_by_all_parts(tmp_path: Path) -> None:
    columns = [column("d", FieldType.STRING, is_open_decimal=True), column("id", FieldType.INTEGER)]
    for name, texts, kind in (
        ("small", ["1.5", "2"], FieldType.NUMERIC),
        ("wide", ["1.5", "0.00000000000001"], FieldType.BIGNUMERIC),
        ("beyond", ["1.5", "NaN"], FieldType.STRING),
    ):
        parts = []
        for index, text in enumerate(texts):
            folder = tmp_path / f"{name}-{index}"
            folder.mkdir()
            parts.append(written(folder, columns, [csv(text, index)]))
        schema, files = staged(columns, parts, tmp_path)
        assert schema.fields[0].type is kind
        assert sum(file.rows for file in files) == 2


def test_an_open_decimal_is_what_the_target_knows() -> None:
    known = TableSchema(fields=(SchemaField(name="D", type=FieldType.NUMERIC, precision=9, scale=2),))
    settled = column("d", FieldType.STRING, is_open_decimal=True).settled(known)
    assert (settled.field.name, settled.field.type, settled.field.scale) == ("d", FieldType.NUMERIC, 2)
    assert not settled.is_open_decimal
    assert column("d", FieldType.STRING).settled(known).field.type is FieldType.STRING


def test_a_row_of_too_few_cells_is_refused(tmp_path: Path) -> None:
    columns = [column("a", FieldType.STRING), column("b", FieldType.STRING)]
    with pytest.raises(ParseFailed):
        written(tmp_path, columns, [b"x\n"])


def test_text_that_is_not_utf_8_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ParseFailed, match="not UTF-8 between row 1 and 2"):
        written(tmp_path, [column("a", FieldType.STRING)], [b"fine\n", b"\xff\n"])


def test_many_writers_take_as_much_memory_as_few() -> None:
    assert [batch_bytes(writers) >> 10 for writers in (1, 2, 4, 32, 100)] == [4096, 4096, 2048, 256, 256]
