"""BigQuery as a source, against the emulator."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingestion.errors import Cancelled, ExecutionFailure, ObjectMissing, QueryFailed, SchemaMismatch
from ingestion.model.connections import BigQueryConnection
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import BigQueryExtraction
from ingestion.model.schema import FieldMode, FieldType
from ingestion.sources.base import ConnectorContext, Cursor, Extraction
from ingestion.sources.bigquery import BigQueryConnector
from ingestion_tests.servers.bigquery import PROJECT, BigQueryServer
from ingestion_tests.sources.conftest import request_for

_COLUMNS = {
    "id": "INT64",
    "s": "STRING",
    "n": "NUMERIC",
    "n2": "NUMERIC(10, 2)",
    "big": "BIGNUMERIC",
    "f": "FLOAT64",
    "b": "BOOL",
    "raw": "BYTES",
    "d": "DATE",
    "t": "TIME",
    "dt": "DATETIME",
    "ts": "TIMESTAMP",
    "j": "JSON",
    "a": "ARRAY<STRING>",
    "r": "STRUCT<x INT64, y ARRAY<NUMERIC>>",
}
_VALUES = (
    "9007199254740993, 'ä', NUMERIC '12345678901234567890123456789.123456789', NUMERIC '1.10', "
    "BIGNUMERIC '12345678901234567890.000000000000000001', CAST('nan' AS FLOAT64), TRUE, b'\\x00\\xff', "
    "DATE '0001-01-01', TIME '23:59:59.999999', DATETIME '9999-12-31 23:59:59.999999', "
    "TIMESTAMP '2026-11-24 10:30:00.000001+02', JSON '{\"k\": [1, null]}', ['x', ''], "
    "STRUCT(1 AS x, [NUMERIC '0.5'] AS y)"
)


@pytest.fixture(scope="module")
def dataset(bigquery_server: BigQueryServer) -> str:
    """A dataset with a table of all types, one of plain rows, and a view."""
    name = bigquery_server.create_dataset()
    columns = ", ".join(f"{column} {kind}" for column, kind in _COLUMNS.items())
    bigquery_server.rows(
        f"CREATE TABLE {name}.types ({columns}); INSERT INTO {name}.types SELECT {_VALUES}; "
        f"INSERT INTO {name}.types (id) VALUES (2); "
        f"CREATE TABLE {name}.plain AS SELECT n AS id, CAST(n AS STRING) AS s, "
        "TIMESTAMP_ADD(TIMESTAMP '2026-11-24', INTERVAL n HOUR) AS at FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS n; "
        f"INSERT INTO {name}.plain (s) VALUES ('no key'); "
        f"CREATE VIEW {name}.few AS SELECT id, s FROM {name}.plain WHERE id <= 3"
    )
    return name


@pytest.fixture
def connection(bigquery_server: BigQueryServer, dataset: str) -> BigQueryConnection:
    return BigQueryConnection.model_validate(
        {
            "project_id": PROJECT,
            "dataset": dataset,
            "endpoint": bigquery_server.endpoint,
            "storage_endpoint": bigquery_server.storage_endpoint,
        }
    )


def extract(
    connection: BigQueryConnection, context: ConnectorContext, folder: Path, params: Mapping[str, Any], **how: Any
) -> tuple[Extraction, list[dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    done = BigQueryConnector(connection, context).extract(
        request_for(BigQueryExtraction.model_validate(params), folder, **how)
    )
    rows = [row for file in done.files for row in pq.read_table(folder / file.name).to_pylist()]
    assert len(rows) == done.rows
    return done, rows


@pytest.mark.parametrize("is_rest", [False, True])
def test_every_type_comes_as_it_is(
    connection: BigQueryConnection, context: ConnectorContext, tmp_path: Path, is_rest: bool
) -> None:
    if is_rest:
        connection = connection.model_copy(update={"storage_endpoint": None})
    done, found = extract(connection, context, tmp_path, {"table": "types"})
    assert done.task_params["method"] == ("rest" if is_rest else "storage_read")
    assert (done.rows, done.rejected) == (2, 0)
    row = next(row for row in found if row["id"] != 2)
    assert row["id"] == 9007199254740993
    assert row["n"] == Decimal("12345678901234567890123456789.123456789")
    assert row["big"] == Decimal("12345678901234567890.000000000000000001")
    assert row["f"] != row["f"]
    assert (row["raw"], row["d"], str(row["t"])) == (b"\x00\xff", date(1, 1, 1), "23:59:59.999999")
    assert (str(row["dt"]), str(row["ts"])) == ("9999-12-31 23:59:59.999999", "2026-11-24 08:30:00.000001+00:00")
    assert (row["a"], row["r"]) == (["x", ""], {"x": 1, "y": [Decimal("0.5")]})
    empty = next(row for row in found if row["id"] == 2)
    assert {value for name, value in empty.items() if name not in ("id", "a", "r")} == {None}
    kinds = {column.name: (column.type, column.precision, column.mode) for column in done.schema.fields}
    assert kinds["n2"] == (FieldType.NUMERIC, 10, FieldMode.NULLABLE)
    assert kinds["a"] == (FieldType.STRING, None, FieldMode.REPEATED)


def test_a_key_is_followed_from_its_cursor_on(
    connection: BigQueryConnection, context: ConnectorContext, tmp_path: Path
) -> None:
    """Bounds are closed on both sides, rows without a key come every time or never, dates bound a backfill."""
    params = {"table": "plain", "incremental_key": "id"}
    first, rows = extract(connection, context, tmp_path / "a", params)
    assert (first.rows, first.cursor, len({row["id"] for row in rows})) == (25001, Cursor("id", "25000"), 25001)
    _, rows = extract(connection, context, tmp_path / "b", params, cursor=Cursor("id", "24999"))
    assert sorted(row["id"] or 0 for row in rows) == [0, 24999, 25000]
    back = {**params, "null_cursor": "skip", "lookback": 2}
    again, rows = extract(connection, context, tmp_path / "c", back, cursor=Cursor("id", "25000"))
    assert sorted(row["id"] for row in rows) == [24998, 24999, 25000]
    assert (again.cursor, again.read_from) == (Cursor("id", "25000"), Cursor("id", "24998"))
    days = ExecutionParams(start_date=date(2026, 11, 25), end_date=date(2026, 11, 25))
    _, rows = extract(connection, context, tmp_path / "d", {"table": "plain", "incremental_key": "at"}, execution=days)
    assert sorted(row["id"] for row in rows) == list(range(24, 48))
    with pytest.raises(SchemaMismatch, match="1 rows whose 'id' is NULL"):
        extract(connection, context, tmp_path / "e", {**params, "null_cursor": "fail"})
    with pytest.raises(ObjectMissing, match="no column 'nope'"):
        extract(connection, context, tmp_path / "f", {"table": "plain", "incremental_key": "nope"})


def test_queries_are_one_select_with_bound_macros(
    connection: BigQueryConnection, context: ConnectorContext, tmp_path: Path, dataset: str
) -> None:
    query = f"SELECT id, DATE(at) AS day FROM {dataset}.plain WHERE DATE(at) = DATE '{{{{ds}}}}' AND id < 3 -- today"
    query = query.replace("DATE '{{ds}}'", "CAST('{{ds}}' AS DATE)")
    _, rows = extract(connection, context, tmp_path / "a", {"query": query})
    assert sorted(row["id"] for row in rows) == [1, 2]
    _, rows = extract(connection, context, tmp_path / "b", {"table": "few"})
    assert sorted(row["id"] for row in rows) == [1, 2, 3]
    for wrong in (
        f"DELETE FROM {dataset}.plain WHERE true",
        "SELECT 1 AS a; SELECT 2 AS b",
        "SELECT 1 AS a) ; (SELECT 2",
    ):
        with pytest.raises(QueryFailed):
            extract(connection, context, tmp_path / "c", {"query": wrong})
    with pytest.raises(ObjectMissing, match="missing"):
        extract(connection, context, tmp_path / "d", {"table": "missing"})


def test_a_cancel_stops_the_reading(connection: BigQueryConnection, context: ConnectorContext, tmp_path: Path) -> None:
    def stop(metrics: Mapping[str, Any]) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        extract(connection, context, tmp_path, {"query": "SELECT 1 AS a"}, progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading-")]


def test_the_connection_test_names_its_steps(
    connection: BigQueryConnection, context: ConnectorContext, bigquery_server: BigQueryServer
) -> None:
    report = BigQueryConnector(connection, context).check(30)
    assert report.successful
    assert [check["name"] for check in report.results["checks"]] == [
        *("dataset", "authentication", "list", "read", "query"),
    ]
    assert report.results["permissions"] == ["read", "list"]
    assert report.measurements["available_objects"] == 3
    away = connection.model_copy(update={"dataset": "nowhere"})
    report = BigQueryConnector(away, context).check(30)
    assert (report.successful, report.results["error_code"]) == (False, "OBJECT_NOT_FOUND")
    unnamed = BigQueryConnection(project_id="p", dataset="d")
    report = BigQueryConnector(unnamed, context).check(5)
    assert report.results["error_code"] == "AUTHENTICATION_FAILED"


def test_a_table_is_described_with_samples(connection: BigQueryConnection, context: ConnectorContext) -> None:
    described = BigQueryConnector(connection, context).describe("few", 2)
    assert described.schema.names == ["id", "s"]
    assert len(described.sample_rows) == 2
    with pytest.raises(ExecutionFailure, match="nothing"):
        BigQueryConnector(connection, context).describe("nothing", 2)
