from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import ParseFailed, PartialFile, SchemaMismatch
from ingestion.formats import orc_files
from ingestion_tests.formats.conftest import Reader, known


def orc_file(columns: dict[str, pa.Array], **options: Any) -> bytes:
    out = io.BytesIO()
    orc.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def test_values_come_over_exactly(read: Reader) -> None:
    instant = datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)
    columns = {
        "i8": pa.array([-1, None], pa.int8()),
        "i64": pa.array([2**63 - 1, None]),
        "f32": pa.array([0.5, None], pa.float32()),
        "dec": pa.array([Decimal("-123.45"), None], pa.decimal128(10, 2)),
        "wide": pa.array([Decimal("1." + "1" * 37), None], pa.decimal128(38, 37)),
        "text": pa.array(["é", None]),
        "raw": pa.array([b"\x00\xff", None], pa.binary()),
        "day": pa.array([date(1, 1, 1), date(9999, 12, 31)]),
        "zoned": pa.array([instant, None], pa.timestamp("us", tz="UTC")),
        "plain": pa.array([datetime(1700, 1, 1), None], pa.timestamp("us")),
        "finest": pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns")),
        "flag": pa.array([True, None]),
    }
    outcome = read({"a.orc": orc_file(columns)})
    assert outcome.rows[0] == {
        "i8": -1,
        "i64": 2**63 - 1,
        "f32": 0.5,
        "dec": Decimal("-123.45"),
        "wide": Decimal("1." + "1" * 37),
        "text": "é",
        "raw": b"\x00\xff",
        "day": date(1, 1, 1),
        "zoned": instant,
        "plain": datetime(1700, 1, 1),
        "finest": "2023-11-14 22:13:20.000000001",
        "flag": True,
    }
    assert set(outcome.rows[1].values()) == {None, date(9999, 12, 31)}
    assert (outcome.types["zoned"], outcome.types["plain"]) == ("TIMESTAMP", "DATETIME")


def test_nested_columns_are_records_or_json(read: Reader) -> None:
    either = pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([5]), pa.array(["x"])]
    )
    columns = {
        "rec": pa.array([{"a": 1, "b": ["x"]}, None]),
        "list": pa.array([[Decimal("1.10")], []], pa.list_(pa.decimal128(5, 2))),
        "map": pa.array([[("k", float("nan"))], None], pa.map_(pa.string(), pa.float64())),
        "either": either,
    }
    outcome = read({"a.orc": orc_file(columns)})
    assert outcome.types == {"rec": "RECORD", "list": "NUMERIC", "map": "JSON", "either": "JSON"}
    assert outcome.rows[0]["rec"] == {"a": 1, "b": ["x"]}
    assert outcome.rows[0]["list"] == [Decimal("1.10")]
    assert json.loads(outcome.rows[0]["map"]) == [["k", "nan"]]
    assert [json.loads(row["either"]) for row in outcome.rows] == [5, "x"]


@pytest.mark.parametrize("codec", ["uncompressed", "zlib", "snappy", "lz4", "zstd"])
def test_every_codec_in_many_stripes_keeps_the_order(read: Reader, codec: str) -> None:
    out = io.BytesIO()
    with orc.ORCWriter(out, compression=codec, stripe_size=1 << 16, batch_size=1_000) as writer:
        for start in range(0, 70_000, 10_000):
            numbers = range(start, start + 10_000)
            writer.write(pa.table({"n": pa.array(numbers), "t": pa.array([f"text {n * n}" for n in numbers])}))
    assert orc.ORCFile(io.BytesIO(out.getvalue())).nstripes > 1
    outcome = read({"a.orc": out.getvalue()}, batch_size=5_000)
    assert [(row["n"], row["t"]) for row in outcome.rows] == [(n, f"text {n * n}") for n in range(70_000)]


def test_the_targets_types_count_and_reject(read: Reader) -> None:
    data = orc_file({"n": pa.array(["1", "x", None]), "f": pa.array([1.0, 2.0, 2.5])})
    outcome = read({"a.orc": data}, known=known("n INTEGER", "f INTEGER"))
    assert outcome.rows == [{"n": 1, "f": 1}]
    assert outcome.brief() == [("row 2", "TYPE_MISMATCH", "n"), ("row 3", "TYPE_MISMATCH", "f")]


GOOD = orc_file({"a": pa.array([f"text {number}" for number in range(3_000)])}, compression="zlib")


@pytest.mark.parametrize("cut", [0, 3, 20, -1, -10, len(GOOD) // 2])
def test_a_file_without_its_end_is_partial(read: Reader, cut: int) -> None:
    with pytest.raises(PartialFile, match=r"a\.orc"):
        read({"a.orc": GOOD[:cut]})


def test_a_damaged_file_fails(read: Reader) -> None:
    with pytest.raises(ParseFailed, match=r"'a\.orc' cannot be read as ORC"):
        read({"a.orc": GOOD[:200] + b"\xff" * 2_000 + GOOD[2_200:]})
    with pytest.raises(ParseFailed, match=r"'a\.orc' is no ORC file"):
        read({"a.orc": b"PAR1" + GOOD})


def test_timestamps_beyond_nanoseconds_are_refused(read: Reader) -> None:
    """pyarrow holds ORC's timestamps in nanoseconds and would refuse or wrap them."""
    with pytest.raises(SchemaMismatch, match="1677 to 2262"):
        read({"a.orc": orc_file({"at": pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))})})


ROWS = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.floats(allow_nan=False),
        "t": st.none() | st.text(st.characters(codec="utf-8"), max_size=6),
        "d": st.none() | st.decimals(-(10**10), 10**10, places=3),
        "at": st.none() | st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1)),
        "r": st.none() | st.fixed_dictionaries({"l": st.lists(st.none() | st.integers(0, 9), max_size=3)}),
    }
)
SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("t", pa.string()),
        ("d", pa.decimal128(20, 3)),
        ("at", pa.timestamp("us")),
        ("r", pa.struct([("l", pa.list_(pa.int64()))])),
    ]
)


@given(rows=st.lists(ROWS, min_size=1, max_size=30))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trips(read: Reader, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> None:
    monkeypatch.setattr(orc_files, "_BATCH_ROWS", 7)
    out = io.BytesIO()
    orc.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out, compression="snappy")
    assert read({"a.orc": out.getvalue()}).rows == rows
