from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.errors import ParseFailed, PartialFile, SchemaMismatch
from ingestion_tests.formats.conftest import Reader, known


def parquet(columns: dict[str, pa.Array]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_values_come_over_exactly(read: Reader) -> None:
    instant = datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)
    columns = {
        "i8": pa.array([-1, None], pa.int8()),
        "u64": pa.array([2**64 - 1, None], pa.uint64()),
        "f32": pa.array([0.1, None], pa.float32()),
        "dec": pa.array([Decimal("123.45"), None], pa.decimal128(10, 2)),
        "wide": pa.array([Decimal("1." + "1" * 40), None], pa.decimal256(50, 40)),
        "text": pa.array(["é", None], pa.large_string()),
        "dict": pa.array(["a", None]).dictionary_encode(),
        "raw": pa.array([b"\x00\xff", None], pa.binary()),
        "day": pa.array([date(2024, 2, 29), None]),
        "clock": pa.array([time(23, 59, 59, 1), None], pa.time64("us")),
        "zoned": pa.array([instant, None], pa.timestamp("us", tz="Europe/Berlin")),
        "plain": pa.array([datetime(2024, 1, 1), None], pa.timestamp("ms")),
        "nano": pa.array([1_700_000_000_000_000_000, None], pa.timestamp("ns")),
        "finest": pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns")),
        "none": pa.array([None, None], pa.null()),
        "ids": pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()),
        "flag": pa.array([True, None]),
    }
    outcome = read({"a.parquet": parquet(columns)})
    assert outcome.rows[0] == {
        "i8": -1,
        "u64": Decimal(2**64 - 1),
        "f32": 0.10000000149011612,
        "dec": Decimal("123.45"),
        "wide": "1." + "1" * 40,
        "text": "é",
        "dict": "a",
        "raw": b"\x00\xff",
        "day": date(2024, 2, 29),
        "clock": time(23, 59, 59, 1),
        "zoned": instant,
        "plain": datetime(2024, 1, 1),
        "nano": datetime(2023, 11, 14, 22, 13, 20),
        "finest": "2023-11-14 22:13:20.000000001",
        "none": None,
        "ids": str(uuid.UUID(int=5)),
        "flag": True,
    }
    assert set(outcome.rows[1].values()) == {None}
    assert outcome.types["zoned"] == "TIMESTAMP"
    assert outcome.types["plain"] == "DATETIME"
    assert outcome.types["clock"] == "TIME"


def test_nested_columns_are_records_or_json(read: Reader) -> None:
    columns = {
        "rec": pa.array([{"a": 1, "b": ["x"]}, None]),
        "list": pa.array([[Decimal("1.10")], []], pa.list_(pa.decimal128(5, 2))),
        "map": pa.array([[("k", Decimal("1.10"))], None], pa.map_(pa.string(), pa.decimal128(5, 2))),
        "deep": pa.array([[[1], [2]], None], pa.list_(pa.list_(pa.int64()))),
    }
    outcome = read({"a.parquet": parquet(columns)})
    assert outcome.types == {"rec": "RECORD", "list": "NUMERIC", "map": "JSON", "deep": "JSON"}
    assert outcome.rows[0]["rec"] == {"a": 1, "b": ["x"]}
    assert outcome.rows[0]["list"] == [Decimal("1.10")]
    assert json.loads(outcome.rows[0]["map"]) == [["k", "1.10"]]
    assert json.loads(outcome.rows[0]["deep"]) == [[1], [2]]


def test_files_with_other_types_are_brought_together(read: Reader) -> None:
    first = parquet({"a": pa.array([1]), "d": pa.array([Decimal("1.5")], pa.decimal128(4, 1))})
    second = parquet({"a": pa.array(["x"]), "d": pa.array([Decimal("1.25")], pa.decimal128(4, 2)), "n": pa.array([2])})
    outcome = read({"a.parquet": first, "b.parquet": second})
    assert outcome.rows == [
        {"a": "1", "d": Decimal("1.50"), "n": None},
        {"a": "x", "d": Decimal("1.25"), "n": 2},
    ]


def test_the_targets_types_count_and_reject(read: Reader) -> None:
    data = parquet({"n": pa.array(["1", "x", None]), "f": pa.array([1.0, 2.0, 2.5])})
    outcome = read({"a.parquet": data}, known=known("n INTEGER", "f INTEGER"))
    assert outcome.rows == [{"n": 1, "f": 1}]
    assert outcome.brief() == [("row 2", "TYPE_MISMATCH", "n"), ("row 3", "TYPE_MISMATCH", "f")]
    assert json.loads(outcome.rejects[0]["raw_row"]) == {"n": "x", "f": "2.0"}


@pytest.mark.parametrize("cut", [0, 3, 20, -1, -10])
def test_a_file_without_its_footer_is_partial(read: Reader, cut: int) -> None:
    data = parquet({"a": pa.array([1, 2, 3])})
    with pytest.raises(PartialFile, match=r"a\.parquet"):
        read({"a.parquet": data[:cut]})


def test_a_damaged_file_fails(read: Reader) -> None:
    data = bytearray(parquet({"a": pa.array([f"text {n}" for n in range(5000)])}))
    data[200:4000] = b"\xff" * 3800
    with pytest.raises(ParseFailed, match=r"a\.parquet"):
        read({"a.parquet": bytes(data)})


def test_durations_are_refused(read: Reader) -> None:
    with pytest.raises(SchemaMismatch, match="'d'"):
        read({"a.parquet": parquet({"d": pa.array([1], pa.duration("s"))})})


def test_many_row_groups_keep_their_order(read: Reader) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array(range(100_000))}), out, row_group_size=1000)
    outcome = read({"a.parquet": out.getvalue()}, batch_size=5000)
    found: list[Any] = [row["a"] for row in outcome.rows]
    assert found == list(range(100_000))


def test_a_changed_bit_is_found_by_the_checksum(read: Reader) -> None:
    out = io.BytesIO()
    table = pa.table({"a": pa.array([f"value {n:05d}" for n in range(100)])})
    pq.write_table(table, out, write_page_checksum=True, use_dictionary=False, compression="none")
    assert len(read({"a.parquet": out.getvalue()}).rows) == 100
    changed = out.getvalue().replace(b"value 00050", b"value 00051", 1)
    with pytest.raises(ParseFailed, match=r"a\.parquet.*checksum"):
        read({"a.parquet": changed})
