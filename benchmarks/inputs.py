"""Made-up order lines in every form a source can have: the same rows, so that paths can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

BATCH_ROWS = 50_000

_ROWS = """
    SELECT i AS order_key, i % 200003 AS part_key, CAST(i % 50 + 1 AS DECIMAL(12, 2)) AS quantity,
           CAST(i % 99991 AS DECIMAL(12, 2)) / 100 AS price, substr('RAN', CAST(i % 3 AS INTEGER) + 1, 1) AS flag,
           DATE '1992-01-01' + CAST(i % 2500 AS INTEGER) AS ship_date,
           TIMESTAMP '2026-01-01' + to_seconds(i) AS committed_at, 'carefully final package number ' || i AS comment
    FROM range({rows}) AS t(i)"""
_XML = """
    '<line><order_key>' || order_key || '</order_key><part_key>' || part_key || '</part_key><quantity>' || quantity
    || '</quantity><price>' || price || '</price><flag>' || flag || '</flag><ship_date>' || ship_date
    || '</ship_date><committed_at>' || strftime(committed_at, '%Y-%m-%dT%H:%M:%S') || '</committed_at><comment>'
    || comment || '</comment></line>'"""
_FIXED = """
    lpad(CAST(order_key AS VARCHAR), 10, ' ') || lpad(CAST(part_key AS VARCHAR), 10, ' ')
    || lpad(CAST(quantity AS VARCHAR), 10, ' ')
    || lpad(CAST(price AS VARCHAR), 12, ' ') || flag || ship_date || strftime(committed_at, '%Y-%m-%dT%H:%M:%S')
    || rpad(comment, 50, ' ')"""
FIXED_FIELDS = [
    {"name": name, "start": start, "width": width}
    for name, start, width in (
        ("order_key", 1, 10),
        ("part_key", 11, 10),
        ("quantity", 21, 10),
        ("price", 31, 12),
        ("flag", 43, 1),
        ("ship_date", 44, 10),
        ("committed_at", 54, 19),
        ("comment", 73, 50),
    )
]


def batches(rows: int) -> pa.RecordBatchReader:
    """The rows as record batches."""
    connection = duckdb.connect()
    return connection.execute(_ROWS.format(rows=rows)).to_arrow_reader(BATCH_ROWS)


def write(kind: str, rows: int, path: Path) -> None:
    """Write the rows to `path` as a file of `kind`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[kind](rows, path)


def _copy(select: str, options: str) -> Callable[[int, Path], None]:
    def write(rows: int, path: Path) -> None:
        with duckdb.connect() as connection:
            source = _ROWS.format(rows=rows)
            connection.execute(f"COPY ({select.format(source=f'({source})')}) TO '{path}' ({options})")

    return write


def _lines(line: str, before: str = "", after: str = "") -> Callable[[int, Path], None]:
    """One text a row, unquoted."""

    def write(rows: int, path: Path) -> None:
        with duckdb.connect() as connection, path.open("w", encoding="utf-8") as out:
            out.write(before)
            reader = connection.execute(f"SELECT {line} AS line FROM ({_ROWS.format(rows=rows)})").to_arrow_reader()
            for batch in reader:
                out.write("\n".join(batch.column(0).to_pylist()))
                out.write("\n")
            out.write(after)

    return write


def _orc(rows: int, path: Path) -> None:
    from pyarrow import orc

    reader = batches(rows)
    with orc.ORCWriter(path, compression="zstd") as writer:
        for batch in reader:
            writer.write(pa.Table.from_batches([batch]))


def _avro(rows: int, path: Path) -> None:
    import fastavro

    def decimal(scale: int) -> Mapping[str, object]:
        return {"type": "bytes", "logicalType": "decimal", "precision": 14, "scale": scale}

    fields = [
        {"name": "order_key", "type": "long"},
        {"name": "part_key", "type": "long"},
        {"name": "quantity", "type": decimal(2)},
        {"name": "price", "type": "double"},
        {"name": "flag", "type": "string"},
        {"name": "ship_date", "type": {"type": "int", "logicalType": "date"}},
        {"name": "committed_at", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
        {"name": "comment", "type": "string"},
    ]
    schema = fastavro.parse_schema({"type": "record", "name": "line", "fields": fields})
    records = (row | {"price": float(row["price"])} for batch in batches(rows) for row in batch.to_pylist())
    with path.open("wb") as out:
        fastavro.writer(out, schema, records, codec="deflate")


_WRITERS: Mapping[str, Callable[[int, Path], None]] = {
    "csv": _copy("FROM {source}", "FORMAT csv, HEADER"),
    "ndjson": _copy("FROM {source}", "FORMAT json"),
    "json": _copy("FROM {source}", "FORMAT json, ARRAY true"),
    "parquet": _copy("FROM {source}", "FORMAT parquet"),
    "orc": _orc,
    "avro": _avro,
    "xml": _lines(_XML, "<lines>\n", "</lines>\n"),
    "txt": _lines(_FIXED),
}
FILE_KINDS = tuple(_WRITERS)
