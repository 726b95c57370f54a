from __future__ import annotations

import io
import struct
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.errors import SchemaMismatch
from ingestion_tests.formats.conftest import Reader

_JULIAN_EPOCH = 2_440_588
_DAY = 86_400


def int96(moments: list[datetime], nanos: int = 0, far_day: int | None = None) -> bytes:
    """A Parquet file of INT96. Arrow's writer cannot reach as far, so the days are put in their place afterwards."""
    seconds = [int((moment - datetime(1970, 1, 1)).total_seconds()) for moment in moments]
    array = pa.array(
        [
            n * 1_000_000_000 + second % _DAY * 10**9 + nanos
            for n, second in zip((_DAY * index for index in range(len(seconds))), seconds, strict=True)
        ],
        pa.timestamp("ns"),
    )
    out = io.BytesIO()
    nested = pa.StructArray.from_arrays([array], ["at"])
    pq.write_table(
        pa.table({"a": array, "n": nested}),
        out,
        use_deprecated_int96_timestamps=True,
        use_dictionary=False,
        compression="none",
        write_statistics=False,
        store_schema=False,
    )
    data = out.getvalue()
    for index, second in enumerate(seconds):
        day = far_day if far_day is not None else second // _DAY + _JULIAN_EPOCH
        clock = struct.pack("<q", second % _DAY * 10**9 + nanos)
        old, new = (clock + struct.pack("<i", n) for n in (_JULIAN_EPOCH + index, day))
        assert data.count(old) == 2
        data = data.replace(old, new)
    return data


def test_the_end_of_time_comes_over(read: Reader) -> None:
    moments = [datetime(2024, 1, 1, 20, 34, 56), datetime(9999, 12, 31, 3), datetime(1, 1, 1, 5)]
    outcome = read({"a.parquet": int96(moments)})
    assert outcome.types == {"a": "DATETIME", "n": "RECORD"}
    assert [row["a"] for row in outcome.rows] == moments
    assert [row["n"]["at"] for row in outcome.rows] == moments


def test_nanoseconds_are_kept_where_they_reach(read: Reader) -> None:
    outcome = read({"a.parquet": int96([datetime(2024, 1, 1, 20)])})
    assert outcome.rows[0]["a"] == datetime(2024, 1, 1, 20)


@pytest.mark.parametrize(("nanos", "far_day", "why"), [(1, None, "finer"), (0, 2**31 - 1, "beyond the years")])
def test_what_microseconds_do_not_hold_is_refused(read: Reader, nanos: int, far_day: int | None, why: str) -> None:
    with pytest.raises(SchemaMismatch, match=rf"a\.parquet.*{why}"):
        read({"a.parquet": int96([datetime(9999, 12, 31, 3)], nanos, far_day)})
