from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import ExecutionFailure, ParseFailed, PartialFile, SchemaMismatch
from ingestion.formats import avro_files
from ingestion_tests.formats.conftest import Reader, known


def avro(schema: Any, records: list[Any], codec: str = "null", interval: int = 16_000) -> bytes:
    """Written by fastavro, which knows logical types."""
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), records, codec=codec, sync_interval=interval)
    return out.getvalue()


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


def logical(kind: Any, meaning: str, **more: Any) -> list[Any]:
    inner = kind if isinstance(kind, dict) else {"type": kind}
    return ["null", {**inner, "logicalType": meaning, **more}]


SCALARS = record(
    flag=["null", "boolean"],
    whole=["int", "null"],
    big=["null", "long"],
    single=["null", "float"],
    real=["null", "double"],
    raw=["null", "bytes"],
    text=["null", "string"],
    kind=["null", {"type": "enum", "name": "e", "symbols": ["A", "B"]}],
    fix=["null", {"type": "fixed", "name": "f", "size": 2}],
    dec=logical("bytes", "decimal", precision=20, scale=2),
    fixdec=logical({"type": "fixed", "name": "fd", "size": 8}, "decimal", precision=10, scale=3),
    wide=logical("bytes", "decimal", precision=50, scale=10),
    day=logical("int", "date"),
    ms=logical("int", "time-millis"),
    us=logical("long", "time-micros"),
    tms=logical("long", "timestamp-millis"),
    tus=logical("long", "timestamp-micros"),
    lms=logical("long", "local-timestamp-millis"),
    lus=logical("long", "local-timestamp-micros"),
    id=logical("string", "uuid"),
    nothing="null",
)
ROW: dict[str, Any] = {
    "flag": True,
    "whole": -(2**31),
    "big": 2**63 - 1,
    "single": 0.5,
    "real": 1e300,
    "raw": b"\x00\xff",
    "text": "é\x00",
    "kind": "B",
    "fix": b"\x01\x02",
    "dec": Decimal("-123456789012345678.90"),
    "fixdec": Decimal("-1234567.891"),
    "wide": Decimal("1" * 40 + ".5"),
    "day": date(1, 1, 1),
    "ms": time(23, 59, 59, 999_000),
    "us": time(23, 59, 59, 999_999),
    "tms": datetime(2024, 2, 29, 1, 2, 3, 4_000, tzinfo=UTC),
    "tus": datetime(1, 1, 1, tzinfo=UTC),
    "lms": datetime(9999, 12, 31, 23, 59, 59, 999_000),
    "lus": datetime(2024, 2, 29, 1, 2, 3, 4),
    "id": uuid.UUID(int=5),
    "nothing": None,
}
READ = {**ROW, "wide": "1" * 40 + ".5000000000", "id": str(uuid.UUID(int=5))}
EMPTY = dict.fromkeys(ROW) | {"whole": None}


def test_values_come_over_exactly(read: Reader) -> None:
    outcome = read({"a.avro": avro(SCALARS, [ROW, EMPTY])})
    assert outcome.rows == [READ, EMPTY]
    assert outcome.types == {
        "flag": "BOOLEAN",
        "whole": "INTEGER",
        "big": "INTEGER",
        "single": "FLOAT",
        "real": "FLOAT",
        "raw": "BYTES",
        "text": "STRING",
        "kind": "STRING",
        "fix": "BYTES",
        "dec": "NUMERIC",
        "fixdec": "NUMERIC",
        "wide": "STRING",
        "day": "DATE",
        "ms": "TIME",
        "us": "TIME",
        "tms": "TIMESTAMP",
        "tus": "TIMESTAMP",
        "lms": "DATETIME",
        "lus": "DATETIME",
        "id": "STRING",
        "nothing": "STRING",
    }


def test_both_decoders_read_the_same(read: Reader) -> None:
    """A column of a map makes the whole file the slower decoder's."""
    schema = record(
        **{part["name"]: part["type"] for part in SCALARS["fields"]}, extra={"type": "map", "values": "int"}
    )
    rows = [{**ROW, "extra": {"k": 1}}, {**EMPTY, "extra": {}}]
    outcome = read({"a.avro": avro(schema, rows)})
    assert outcome.rows == [{**READ, "extra": '{"k": 1}'}, {**EMPTY, "extra": "{}"}]


def test_nested_columns_are_records_or_json(read: Reader) -> None:
    inner = record(at=logical("long", "timestamp-millis"), many={"type": "array", "items": "string"})
    schema = record(
        rec=["null", {**inner, "name": "inner"}],
        list={"type": "array", "items": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        again=["null", "inner"],
    )
    at = datetime(2024, 1, 1, tzinfo=UTC)
    row = {"rec": {"at": at, "many": ["x", "y"]}, "list": [Decimal("1.10"), Decimal("-2.00")], "again": None}
    empty: dict[str, Any] = {"rec": None, "list": [], "again": {"at": None, "many": []}}
    outcome = read({"a.avro": avro(schema, [row, empty] * 100)})
    assert outcome.types == {"rec": "RECORD", "list": "NUMERIC", "again": "RECORD"}
    assert outcome.rows == [row, empty] * 100


def test_what_no_column_can_hold_is_json(read: Reader) -> None:
    tree = record(value="int", children={"type": "array", "items": "tree"}) | {"name": "tree"}
    schema = record(
        either=["null", "int", "string", "double"],
        map={"type": "map", "values": logical("bytes", "decimal", precision=5, scale=2)},
        deep={"type": "array", "items": {"type": "array", "items": "long"}},
        tree=tree,
        when=["string", {"type": "long", "logicalType": "timestamp-micros"}],
    )
    at = datetime(2024, 1, 1, tzinfo=UTC)
    row: dict[str, Any] = {
        "either": "x",
        "map": {"k": Decimal("1.10")},
        "deep": [[1], []],
        "tree": {"value": 1, "children": [{"value": 2, "children": []}]},
        "when": at,
    }
    outcome = read(
        {"a.avro": avro(schema, [row, {**row, "either": float("inf"), "when": "now"}, {**row, "either": None}])}
    )
    assert set(outcome.types.values()) == {"JSON"}
    found = [{key: value and json.loads(value) for key, value in got.items()} for got in outcome.rows]
    assert found[0] == {
        "either": "x",
        "map": {"k": "1.10"},
        "deep": [[1], []],
        "tree": row["tree"],
        "when": "2024-01-01T00:00:00+00:00",
    }
    assert (found[1]["either"], found[1]["when"], found[2]["either"]) == ("inf", "now", None)


def test_unions_of_one_kind_of_number_are_that(read: Reader) -> None:
    outcome = read({"a.avro": avro(record(n=["null", "int", "long"], x=["float", "double"]), [{"n": 2**40, "x": 1.5}])})
    assert outcome.rows == [{"n": 2**40, "x": 1.5}]


def test_a_schema_that_is_no_record_is_one_column(read: Reader) -> None:
    assert read({"a.avro": avro({"type": "long"}, [1, 2])}).rows == [{"value": 1}, {"value": 2}]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_every_codec_in_many_blocks(read: Reader, codec: str) -> None:
    rows = [{"n": number, "t": f"text {number}"} for number in range(20_000)]
    outcome = read({"a.avro": avro(record(n="long", t="string"), rows, codec)}, batch_size=3_000)
    assert outcome.rows == rows


def packed_block(codec: str, plain: bytes) -> bytes:
    """A file of one block that another library packed."""
    import zlib

    import pyarrow as pa

    packed: bytes = pa.Codec(codec).compress(plain, asbytes=True)
    if codec == "snappy":
        packed += zlib.crc32(plain).to_bytes(4, "big")
    name = {"snappy": b"snappy", "zstd": b"zstandard"}[codec]
    schema = json.dumps(record(n="long")).encode()
    head = b"Obj\x01\x04\x14avro.codec" + _zigzag(len(name)) + name + b"\x16avro.schema" + _zigzag(len(schema)) + schema
    return head + b"\x00" + b"s" * 16 + _zigzag(len(plain)) + _zigzag(len(packed)) + packed + b"s" * 16


def _zigzag(value: int) -> bytes:
    value <<= 1
    out = b""
    while value > 0x7F:
        out += bytes([(value & 0x7F) | 0x80])
        value >>= 7
    return out + bytes([value])


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_codecs_that_fastavro_needs_other_libraries_for(read: Reader, codec: str) -> None:
    data = packed_block(codec, bytes(range(0, 120, 2)))
    assert [row["n"] for row in read({"a.avro": data}).rows] == list(range(60))
    with pytest.raises(ParseFailed, match=r"byte \d+.* cannot be (decompressed|read)"):
        read({"a.avro": data[:-25] + b"\xff" * 9 + data[-16:]})


def test_the_targets_types_count_and_reject(read: Reader) -> None:
    data = avro(
        record(n="string", r=["null", "string"]), [{"n": "1", "r": "a"}, {"n": "x", "r": "b"}, {"n": "3", "r": None}]
    )
    outcome = read({"a.avro": data}, known=known("n INTEGER", "r STRING REQUIRED"))
    assert outcome.rows == [{"n": 1, "r": "a"}]
    assert outcome.brief() == [("row 2", "TYPE_MISMATCH", "n"), ("row 3", "REQUIRED_NULL", "r")]


GOOD = avro(record(n="long", t="string"), [{"n": n, "t": "x" * 50} for n in range(2_000)])


@pytest.mark.parametrize("cut", [0, 2, 30, -1, -17, len(GOOD) // 2])
def test_a_file_that_ends_early_is_partial(read: Reader, cut: int) -> None:
    with pytest.raises(PartialFile, match=r"'a\.avro' ends too early, at byte \d+"):
        read({"a.avro": GOOD[:cut]})


def _broken(at: int, data: bytes) -> bytes:
    return GOOD[:at] + data + GOOD[at + len(data) :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PAR1" + GOOD[4:], "no Avro file"),
        (_broken(len(GOOD) - 16, b"\x00" * 16), r"block at byte \d+: the sync marker after it is broken"),
        (_broken(len(GOOD) - 300, b"\xff" * 200), r"blocks from byte \d+ cannot be read"),
        (_broken(GOOD.index(b'"long"'), b'"lung"'), "is not understood: KeyError 'lung'"),
        (GOOD.replace(b"\x08null", b"\x08lzma", 1), "packed with 'lzma'"),
    ],
)
def test_a_damaged_file_fails_with_its_place(read: Reader, data: bytes, said: str) -> None:
    with pytest.raises(ParseFailed, match=said) as caught:
        read({"a.avro": data})
    assert "a.avro" in caught.value.message


@pytest.mark.parametrize(
    ("kind", "value", "error", "said"),
    [
        ({"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}, b"x" * 12, SchemaMismatch, "duration"),
        (["int", {"type": "long", "logicalType": "timestamp-millis"}], 5, SchemaMismatch, "told apart"),
        ({"type": "int", "logicalType": "time-millis"}, 86_400_000, ParseFailed, "'v' has the time"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    read: Reader, kind: Any, value: Any, error: type[ExecutionFailure], said: str
) -> None:
    plain = json.loads(json.dumps(kind).replace("logicalType", "ignored"))
    data = avro(record(v=plain), [{"v": value}]).replace(b"ignored", b"logicalType")
    schema, changed = json.dumps(plain), json.dumps(kind)
    assert schema != changed
    with pytest.raises(error, match=said):
        read({"a.avro": _with_schema(data, record(v=kind))})


def _with_schema(data: bytes, schema: Any) -> bytes:
    """The file with another schema in its header."""
    reader: Any = fastavro.block_reader(io.BytesIO(data.replace(b"logicalType", b"ignored")))
    body = b"".join(
        _zigzag(block.num_records) + _zigzag(len(block.bytes_.getvalue())) + block.bytes_.getvalue() + b"s" * 16
        for block in reader
    )
    text = json.dumps(schema).encode()
    return b"Obj\x01\x02\x16avro.schema" + _zigzag(len(text)) + text + b"\x00" + b"s" * 16 + body


VALUES = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.floats(allow_nan=False),
        "t": st.none() | st.text(st.characters(codec="utf-8"), max_size=8),
        "b": st.binary(max_size=6),
        "d": st.none() | st.decimals(-(10**15), 10**15, places=3).map(lambda value: value.quantize(Decimal("0.001"))),
        "at": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
        "r": st.none()
        | st.fixed_dictionaries({"i": st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=3)}),
    }
)
ROUND = record(
    n=["null", "long"],
    x="double",
    t=["string", "null"],
    b="bytes",
    d=logical("bytes", "decimal", precision=30, scale=3),
    at={"type": "long", "logicalType": "local-timestamp-micros"},
    r=["null", record(i={"type": "array", "items": ["null", "int"]}) | {"name": "inner"}],
)


@given(rows=st.lists(VALUES, min_size=1, max_size=30))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trips_over_many_blocks(
    read: Reader, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]
) -> None:
    """fastavro writes a block every hundred bytes, and a few of them are decoded at a time."""
    monkeypatch.setattr(avro_files, "_GROUP_ROWS", 10)
    assert read({"a.avro": avro(ROUND, rows * 5, "deflate", 100)}).rows == rows * 5
