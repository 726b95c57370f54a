"""Avro files: blocks decoded by the fastest reader that reads their types right, and kept without loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import ParseFailed
from ingestion.formats.avro_container import Block, Container, plain_container
from ingestion.formats.avro_schema import Node, node_of, physical_schema
from ingestion.formats.avro_values import column_of_values, converted
from ingestion.formats.columns import Columns, Encoding, RawFile
from ingestion.formats.engine import Tick
from ingestion.formats.guarded import ByteStream
from ingestion.formats.rejects import RejectFile
from ingestion.formats.types import arrow_type
from ingestion.model.extraction import FileExtraction
from ingestion.model.schema import FieldType, SchemaField

_GROUP_BYTES = 4 << 20
_GROUP_ROWS = 50_000
_VALUE_COLUMN = "value"


def stage_avro(
    stream: ByteStream,
    name: str,
    params: FileExtraction,
    columns: Columns,
    path: Path,
    rejects: RejectFile,
    tick: Tick,
) -> Sequence[RawFile]:
    """Rewrite an Avro stream to the Parquet file `path`.

    Raises PartialFile when it ends early and ParseFailed with the byte where it cannot be read; SchemaMismatch for a
    column of a type that no target has.
    """
    container = Container(stream, name)
    decoder = _Decoder(container.schema, name)
    found = columns.of_file(decoder.columns)
    fields = [
        (node.field or SchemaField(name=column.name, type=FieldType.JSON)).model_copy(update={"name": column.name})
        for column, node in zip(found, decoder.columns.values(), strict=True)
    ]
    for column, field in zip(found, fields, strict=True):
        column.natives.append(field)
    out = pa.schema([(column.id, arrow_type(field)) for column, field in zip(found, fields, strict=True)])
    rows = 0
    with pq.ParquetWriter(path, out, compression="lz4") as writer:
        for group in _groups(container.blocks(), tick):
            writer.write_batch(pa.record_batch(decoder.arrays(group), schema=out))
            rows += sum(block.rows for block in group)
            tick()
    named = {column.id: field for column, field in zip(found, fields, strict=True)}
    return (RawFile(name, path, Encoding.NATIVE, named, rows),)


def _groups(blocks: Iterator[Block], tick: Tick) -> Iterator[list[Block]]:
    """Blocks together, so that each call of a decoder has some work; a block alone when it is large."""
    group: list[Block] = []
    for block in blocks:
        tick()
        group.append(block)
        if sum(len(one.data) for one in group) >= _GROUP_BYTES or sum(one.rows for one in group) >= _GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


class _Decoder:
    """Decodes groups of blocks, in Rust while that reads them and in Python otherwise."""

    def __init__(self, schema: Any, name: str) -> None:
        self._name = name
        tree = node_of(schema, _VALUE_COLUMN, name)
        self._is_record = tree.kind in ("record", "error")
        self.columns: dict[str, Node] = dict(tree.parts or {}) if self._is_record else {_VALUE_COLUMN: tree}
        if not self.columns:
            raise ParseFailed(f"The Avro schema of '{name}' has no fields", object=name)
        self._schema = physical_schema(schema)
        self._is_plain = self._is_record and all(node.is_plain for node in self.columns.values())

    def arrays(self, group: list[Block]) -> list[pa.Array]:
        """One array per column. Raises ParseFailed."""
        rows = sum(block.rows for block in group)
        try:
            if self._is_plain:
                arrays = self._decoded_in_rust(group, rows)
                if arrays is not None:
                    return arrays
                self._is_plain = False
            return self._decoded_in_python(group, rows)
        except ParseFailed as error:
            if "object" in error.facts:
                raise
            raise self._failed(group, error) from error
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            raise self._failed(group, error) from error

    def _failed(self, group: list[Block], error: Exception) -> ParseFailed:
        offset = group[0].offset
        what = error.message if isinstance(error, ParseFailed) else f"{type(error).__name__} {error}"
        return ParseFailed(
            f"'{self._name}': the Avro blocks from byte {offset} cannot be read: {what}",
            object=self._name,
            offset=offset,
        )

    def _decoded_in_rust(self, group: list[Block], rows: int) -> list[pa.Array] | None:
        """None when this decoder cannot: what it calls wrong may be its own limit."""
        import polars
        import polars_avro

        try:
            table = polars_avro.read_avro(plain_container(self._schema, group))
            found = table.to_arrow(compat_level=polars.CompatLevel.oldest())
        except Exception:
            return None
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # A panic in Rust is no Exception in Python.
                raise
            return None
        if found.num_rows != rows or found.column_names != list(self.columns):
            return None
        return [
            converted(node, _one(found.column(index)).cast(node.physical))
            for index, node in enumerate(self.columns.values())
        ]

    def _decoded_in_python(self, group: list[Block], rows: int) -> list[pa.Array]:
        import fastavro

        try:
            records: list[Any] = list(fastavro.reader(plain_container(self._schema, group)))
        except Exception as error:  # Its errors have no common base: KeyError, EOFError, struct.error...
            raise self._failed(group, error) from error
        if len(records) != rows:
            raise self._failed(group, ValueError(f"{len(records)} of {rows} records are there"))
        if not self._is_record:
            return [column_of_values(self.columns[_VALUE_COLUMN], records)]
        return [column_of_values(node, [record[key] for record in records]) for key, node in self.columns.items()]


def _one(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
