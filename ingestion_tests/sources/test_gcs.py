from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ingestion.errors import ConnectionFailed, FileMissing, SourceChanged, SourcePermissionDenied, TimedOut
from ingestion.model.connections import GcsConnection
from ingestion.model.extraction import FileExtraction
from ingestion.sources.base import ConnectorContext, ObjectVersion
from ingestion.sources.bucket_folders import FolderBucket
from ingestion.sources.buckets import bucket_for
from ingestion.sources.gcs import GcsConnector
from ingestion_tests.servers.gcs import FakeGcs
from ingestion_tests.sources.conftest import request_for

SALES = (
    b"sale_id,product_id,sale_date,quantity,unit_price\n"
    b"S1,P7,2023-06-01T10:30:00Z,5,29.99\n"
    b"S2,P8,2023-06-01T11:00:00Z,1,5\n"
)


class Site:
    """One bucket, in a folder or in the fake server, filled the same way."""

    def __init__(self, bucket: str, context: ConnectorContext, server: FakeGcs | None) -> None:
        self.bucket = bucket
        self.context = context
        self.server = server

    def put(self, name: str, data: bytes) -> None:
        if self.server:
            self.server.put(self.bucket, name, data)
            return
        path = self.context.buckets_dir / self.bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def connector(self, pattern: str | None = None, bucket: str | None = None) -> GcsConnector:
        endpoint = self.server.endpoint if self.server else None
        connection = GcsConnection(bucket_name=bucket or self.bucket, file_pattern=pattern, endpoint=endpoint)
        return GcsConnector(connection, self.context)


@pytest.fixture(params=["folder", "server"])
def site(request: pytest.FixtureRequest, context: ConnectorContext, tmp_path: Path) -> Site:
    server = request.getfixturevalue("fake_gcs") if request.param == "server" else None
    return Site(f"bucket-{abs(hash(tmp_path)) % 10**9}", context, server)


def test_extracts_the_objects_that_match_in_order_of_name(site: Site, tmp_path: Path) -> None:
    site.put("sales_b.csv", b"id,name\n3,c\n")
    site.put("sales_a.csv", b"id,name\n1,a\n2,b\n")
    site.put("other.csv", b"id,name\n9,z\n")
    site.put("deep/sales_c.csv", b"id,name\n8,y\n")
    result = site.connector("*.csv").extract(request_for(FileExtraction(file_pattern="sales_*.csv"), tmp_path / "s"))
    assert [version.name for version in result.objects] == ["sales_a.csv", "sales_b.csv"]
    assert (result.rows, result.rejected) == (3, 0)
    assert result.task_params["bucket"] == site.bucket
    assert result.task_params["objects"] == ["sales_a.csv", "sales_b.csv"]


def test_one_object_is_named_as_in_the_contract(site: Site, tmp_path: Path) -> None:
    site.put("sales_20261124.csv", SALES)
    pattern = FileExtraction(file_pattern="sales_{{ds_nodash}}.csv")
    result = site.connector().extract(request_for(pattern, tmp_path / "s"))
    assert result.task_params == {
        "bucket": site.bucket,
        "object": "sales_20261124.csv",
        "destination": str(tmp_path / "s"),
    }


def test_no_match_is_named_as_in_the_contract(site: Site, tmp_path: Path) -> None:
    site.put("other.csv", SALES)
    with pytest.raises(FileMissing, match=r"^Source file not found: sales_20230614\.csv$"):
        site.connector("sales_20230614.csv").extract(request_for(FileExtraction(), tmp_path / "s"))


def test_objects_that_were_loaded_are_not_read_again(site: Site, tmp_path: Path) -> None:
    site.put("a.csv", SALES)
    first = site.connector("*.csv").extract(request_for(FileExtraction(), tmp_path / "1"))
    site.put("b.csv", SALES)
    again = request_for(FileExtraction(), tmp_path / "2", skip_objects=frozenset(first.objects))
    second = site.connector("*.csv").extract(again)
    assert [version.name for version in second.objects] == ["b.csv"]
    assert (second.rows, second.skipped_objects) == (2, 1)


def test_gzip_comes_as_it_is_stored(site: Site, tmp_path: Path) -> None:
    site.put("a.csv.gz", gzip.compress(SALES))
    result = site.connector("*").extract(request_for(FileExtraction(), tmp_path / "s"))
    assert result.rows == 2


def test_check_measures_the_bucket(site: Site) -> None:
    site.put("a.csv", SALES)
    site.put("b.csv", SALES)
    report = site.connector("*.csv").check(10)
    assert report.successful
    assert report.measurements["available_objects"] == 2
    assert report.measurements["total_size_bytes"] == 2 * len(SALES)
    assert isinstance(report.measurements["latency_ms"], int)
    assert report.results["permissions"] == ["read", "list"]
    assert report.results["missing_permissions"] == []
    reached = ["name_resolution", "tcp", "authentication"] if site.server else []
    assert [check["name"] for check in report.results["checks"]] == [*reached, "list", "read"]


def test_check_of_a_missing_bucket_says_so(site: Site) -> None:
    report = site.connector(bucket="nowhere-to-be-found").check(10)
    assert not report.successful
    assert report.results["error_code"] == "FILE_NOT_FOUND"
    assert "nowhere-to-be-found" in report.results["reason"]


def test_describe_shows_fields_and_samples(site: Site) -> None:
    site.put("sales_1.csv", SALES)
    described = site.connector("*.csv").describe("sales_*.csv", 1)
    assert [(field.name, field.type.value) for field in described.schema.fields] == [
        ("sale_id", "STRING"),
        ("product_id", "STRING"),
        ("sale_date", "TIMESTAMP"),
        ("quantity", "INTEGER"),
        ("unit_price", "FLOAT"),
    ]
    assert described.sample_rows == [
        {
            "sale_id": "S1",
            "product_id": "P7",
            "sale_date": "2023-06-01T10:30:00Z",
            "quantity": 5,
            "unit_price": 29.99,
        }
    ]


def test_a_large_file_is_described_from_its_beginning(site: Site) -> None:
    site.put("big.csv", b"id,text\n" + b"1,some text\n" * 900_000)
    described = site.connector().describe("big.csv", 2)
    assert described.schema.names == ["id", "text"]
    assert len(described.sample_rows) == 2


def test_an_object_replaced_after_listing_is_noticed(site: Site, tmp_path: Path) -> None:
    site.put("a.csv", SALES)
    bucket = site.connector()._open_store()
    (version,) = bucket.objects("*", 10)
    time.sleep(0.01)
    site.put("a.csv", SALES + b"S3,P9,2023-06-02T00:00:00Z,1,1\n")
    with pytest.raises(SourceChanged, match=r"a\.csv"):
        bucket.fetch(version, tmp_path / "x", lambda: None)


def test_progress_may_stop_the_reading(site: Site, tmp_path: Path) -> None:
    site.put("a.csv", SALES * 1000)

    def stop(metrics: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.connector("*").extract(request_for(FileExtraction(), tmp_path / "s", progress=stop))
    assert not (tmp_path / "s" / "scratch").exists()


def test_a_missing_folder_names_the_folder_and_the_way_to_google(context: ConnectorContext, tmp_path: Path) -> None:
    with pytest.raises(FileMissing) as caught:
        GcsConnector(GcsConnection(bucket_name="sales"), context).extract(request_for(FileExtraction(), tmp_path))
    assert str(context.buckets_dir / "sales") in caught.value.message
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.message
    assert "endpoint" in caught.value.message


def test_a_link_out_of_the_bucket_is_refused(context: ConnectorContext, tmp_path: Path) -> None:
    folder = context.buckets_dir / "b"
    folder.mkdir(parents=True)
    (tmp_path / "secret.csv").write_bytes(SALES)
    os.symlink(tmp_path / "secret.csv", folder / "a.csv")
    with pytest.raises(SourcePermissionDenied, match="outside its bucket"):
        FolderBucket(folder).objects("*", 10)


def test_a_name_that_climbs_out_of_the_bucket_is_refused(context: ConnectorContext, tmp_path: Path) -> None:
    folder = context.buckets_dir / "b"
    folder.mkdir(parents=True)
    (tmp_path / "buckets" / "secret.csv").write_bytes(SALES)
    with pytest.raises((SourcePermissionDenied, SourceChanged)):
        FolderBucket(folder).fetch(ObjectVersion("../secret.csv", "1", len(SALES)), tmp_path / "x", lambda: None)


def test_a_silent_endpoint_is_given_up_in_time(context: ConnectorContext) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        connection = GcsConnection(bucket_name="b", endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        bucket = bucket_for(connection, context)
        started = time.monotonic()
        with pytest.raises((TimedOut, ConnectionFailed)):
            bucket.objects("*", 1.0)
        assert time.monotonic() - started < 5


def test_a_closed_endpoint_is_a_failed_connection(context: ConnectorContext) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    started = time.monotonic()
    report = GcsConnector(GcsConnection(bucket_name="b", endpoint=endpoint), context).check(2)
    assert not report.successful
    assert report.results["error_code"] == "CONNECTION_FAILED"
    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("status", "code"), [(401, "AUTHENTICATION_FAILED"), (403, "PERMISSION_DENIED"), (503, "CONNECTION_FAILED")]
)
def test_refusals_of_the_service_are_told_apart(context: ConnectorContext, status: int, code: str) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error": {"code": status, "message": "no"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the tests' output quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            report = GcsConnector(GcsConnection(bucket_name="b", endpoint=endpoint), context).check(2)
        finally:
            server.shutdown()
            thread.join()
    assert not report.successful
    assert report.results["error_code"] == code
    assert report.results["missing_permissions"] == (["list"] if status == 403 else [])


def test_an_unknown_macro_in_the_sources_pattern_is_named(context: ConnectorContext, tmp_path: Path) -> None:
    connector = GcsConnector(GcsConnection(bucket_name="b", file_pattern="{{nope}}.csv"), context)
    with pytest.raises(FileMissing, match="nope"):
        connector.extract(request_for(FileExtraction(), tmp_path / "s"))
    assert "nope" in connector.check(2).results["reason"]


def test_an_object_stored_with_gzip_is_read_as_what_it_holds(
    context: ConnectorContext, fake_gcs: FakeGcs, tmp_path: Path
) -> None:
    fake_gcs.put("packed-bucket", "a.csv", gzip.compress(SALES), content_encoding="gzip")
    fake_gcs.put("packed-bucket", "b.csv", SALES)
    connector = GcsConnector(GcsConnection(bucket_name="packed-bucket", endpoint=fake_gcs.endpoint), context)
    result = connector.extract(request_for(FileExtraction(file_pattern="*.csv"), tmp_path / "s"))
    assert (result.rows, result.rejected) == (4, 0)
