"""BigQuery as the warehouse: types, jobs, layout, growth, cancel and errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.errors import Cancelled, SchemaMismatch, TargetBusy, TargetFailed
from ingestion.formats.types import arrow_type
from ingestion.model.load import PartitionType, WriteDisposition
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.settings import Settings
from ingestion.warehouses import LoadRequest, PublishRequest, open_warehouse
from ingestion.warehouses.base import TableLayout
from ingestion.warehouses.bigquery.checks import expression
from ingestion.warehouses.bigquery.session import failure, label
from ingestion_tests.servers.bigquery import BigQueryServer
from ingestion_tests.steps.workbench import table_schema, write_parquet
from ingestion_tests.warehouses.conftest import Place, bigquery_settings
from ingestion_tests.warehouses.loading import load, stage

SCHEMA = table_schema(id="INTEGER", name="STRING")
APPEND = WriteDisposition.WRITE_APPEND
BATCH = 700
VALUES: Mapping[str, Any] = {
    "STRING": "ä'\\\n",
    "BYTES": b"\x00\xff",
    "INTEGER": -(2**63),
    "FLOAT": float("inf"),
    "NUMERIC": Decimal("-12345678901234567890123456789.123456789"),
    "BIGNUMERIC": Decimal("12345678901234567890.123456789012345678"),
    "BOOLEAN": False,
    "TIMESTAMP": datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "DATETIME": datetime(9999, 12, 31, 23, 59, 59, 999999),
    "DATE": date(1582, 10, 15),
    "TIME": time(23, 59, 59, 999999),
    "JSON": '{"a":[1,null,"x"]}',
}


def test_every_type_over_three_batches(bigquery: Place, bigquery_server: BigQueryServer, tmp_path: Path) -> None:
    plain = [SchemaField(name=kind.value, type=kind) for kind in FieldType if kind is not FieldType.RECORD]
    nested = SchemaField(
        name="items",
        type=FieldType.RECORD,
        mode=FieldMode.REPEATED,
        fields=(
            SchemaField(name="n", type=FieldType.NUMERIC),
            SchemaField(name="tags", type=FieldType.STRING, mode=FieldMode.REPEATED),
        ),
    )
    exact = SchemaField(name="exact", type=FieldType.NUMERIC, precision=10, scale=2)
    place = SchemaField(name="place", type=FieldType.INTEGER)
    schema = TableSchema(fields=(*plain, exact, nested, place))
    full = {**VALUES, "exact": Decimal("1.10"), "items": [{"n": Decimal("0.5"), "tags": ["x", ""]}]}
    empty: dict[str, Any] = {**dict.fromkeys(schema.names), "items": []}
    rows = [{**(empty if number % 2 else full), "place": number} for number in range(3 * BATCH)]
    path = tmp_path / "rows.parquet"
    columns = pa.schema([(column.name, arrow_type(column)) for column in schema.fields])
    pq.write_table(pa.Table.from_pylist(rows, schema=columns), path, row_group_size=BATCH)
    target = bigquery.target
    assert bigquery.warehouse.stage(LoadRequest("e", "p", target, schema, [path], [])) == len(rows)
    done = bigquery.warehouse.publish(PublishRequest("e", "p", target, schema, APPEND, extracted=len(rows)))
    assert done.loaded == len(rows)
    found = bigquery_server.rows(
        f"SELECT {', '.join([*VALUES, 'exact', 'items', 'place'])} FROM {target.dataset}.Orders ORDER BY place"
    )
    wanted = [*VALUES.values(), full["exact"], full["items"]]
    wanted[list(VALUES).index("JSON")] = {"a": [1, None, "x"]}
    assert [row[-1] for row in found] == list(range(3 * BATCH))
    assert all(list(row[:-1]) == wanted for row in found[::2])
    assert all(set(row[:-2]) == {None} and row[-2] == [] for row in found[1::2])
    state = bigquery.warehouse.state("p", target)
    assert state.schema == schema


def test_a_repeated_stage_adopts_its_load_job(bigquery: Place, bigquery_server: BigQueryServer, tmp_path: Path) -> None:
    rows: list[Mapping[str, Any]] = [{"id": 1, "name": "a"}]
    for _ in range(2):
        assert stage(bigquery.warehouse, tmp_path, "e1", SCHEMA, rows, bigquery.target) == 1
    assert stage(bigquery.warehouse, tmp_path, "e1", SCHEMA, [*rows, *rows], bigquery.target) == 2
    jobs = [
        job
        for job in bigquery_server.client.list_jobs()
        if job.job_type == "load" and job.destination.dataset_id == bigquery.target.dataset
    ]
    assert len(jobs) == 2
    assert {job.labels["ingestion_execution"] for job in jobs} == {"e1"}
    left = [item.name for item in bigquery_server.gcs.client.list_blobs("staging") if "/e1/" in item.name]
    assert left == []
    bigquery.warehouse.discard("e1", bigquery.target)
    assert not list(bigquery_server.client.list_tables(bigquery.target.dataset))


def test_the_layout_is_the_table_s_and_columns_grow(
    bigquery: Place, bigquery_server: BigQueryServer, tmp_path: Path
) -> None:
    schema = table_schema(day="DATE", id="INTEGER")
    layout = TableLayout("day", PartitionType.MONTH, ("id",))
    row: dict[str, Any] = {"day": date(2026, 1, 2), "id": 1}
    load(bigquery.warehouse, tmp_path, "e1", schema, [row], APPEND, target=bigquery.target, layout=layout)
    table = bigquery_server.client.get_table(f"{bigquery.target.dataset}.Orders")
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("MONTH", "day")
    assert (table.clustering_fields, table.labels) == (["id"], {"ingestion_pipeline": "p"})
    wider = table_schema(day="DATE", id="INTEGER", more="STRING")
    result = load(bigquery.warehouse, tmp_path, "e2", wider, [{**row, "more": "x"}], APPEND, target=bigquery.target)
    assert result.details["columns_added"] == ["more"]
    assert bigquery.rows("id, more") == [(1, "x"), (1, None)]
    wrong = table_schema(id="STRING", other="STRING")
    with pytest.raises(SchemaMismatch, match="id is STRING, the target has INTEGER"):
        load(bigquery.warehouse, tmp_path, "e3", wrong, [{"id": "x", "other": "y"}], APPEND, target=bigquery.target)


def test_a_cancel_while_loading_leaves_no_rows(bigquery: Place, tmp_path: Path) -> None:
    def stop(metrics: Mapping[str, Any]) -> None:
        raise Cancelled("stop")

    path = tmp_path / "rows.parquet"
    write_parquet(path, SCHEMA, [{"id": 1, "name": "a"}])
    with pytest.raises(Cancelled):
        bigquery.warehouse.stage(LoadRequest("e1", "p", bigquery.target, SCHEMA, [path], [], stop))
    bigquery.warehouse.discard("e1", bigquery.target)
    assert bigquery.warehouse.state("p", bigquery.target).schema is None


def test_a_bucket_that_is_not_there_is_named(bigquery_server: BigQueryServer, tmp_path: Path, bigquery: Place) -> None:
    settings = bigquery_settings(bigquery_server, tmp_path)
    elsewhere = open_warehouse(settings.model_copy(update={"bigquery_staging_bucket": "gs://no-such-bucket"}))
    with pytest.raises(TargetFailed, match="no-such-bucket"):
        stage(elsewhere, tmp_path, "e1", SCHEMA, [{"id": 1, "name": "a"}], bigquery.target)


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "words"),
    [
        ("Forbidden", {"errors": [{"reason": "accessDenied", "message": "no"}]}, TargetFailed, "bigquery.dataEditor"),
        ("Forbidden", {"errors": [{"reason": "quotaExceeded", "message": "no"}]}, TargetBusy, "quotaExceeded"),
        ("BadRequest", {"errors": [{"reason": "invalidQuery", "message": "Syntax"}]}, TargetFailed, "invalidQuery"),
        ("ServiceUnavailable", {}, TargetBusy, "unavailable"),
        ("Unauthorized", {}, TargetFailed, "credentials"),
        ("BadRequest", {"message": "Transaction is aborted due to concurrent update"}, TargetBusy, "aborted"),
    ],
)
def test_errors_say_what_they_are(name: str, arguments: dict[str, Any], kind: type, words: str) -> None:
    from google.api_core import exceptions

    error = getattr(exceptions, name)(arguments.pop("message", "said"), **arguments)
    found = failure("a query", error)
    assert type(found) is kind
    assert words in found.message


def test_expressions_are_written_as_googlesql() -> None:
    assert expression("\"a b\" = 'it''s \\n' -- \"x\"") == "`a b` = 'it\\'s \\\\n'  "
    assert label("ÄB:C/d") == "-b-c-d"


def test_settings_that_lack_something_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="INGESTION_BIGQUERY_PROJECT and INGESTION_BIGQUERY_STAGING_BUCKET"):
        Settings(home=tmp_path, warehouse="bigquery")
    with pytest.raises(ValueError, match="not in Google Cloud Storage"):
        Settings(home=tmp_path, bigquery_staging_bucket="s3://b")
