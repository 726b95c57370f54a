"""SFTP sources as pipelines use them."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow.parquet as pq
import pytest

from ingestion.errors import Cancelled, FileMissing
from ingestion.model.extraction import FileExtraction
from ingestion.sources.base import ConnectorContext, Extraction
from ingestion.sources.sftp import SftpConnector
from ingestion_tests.servers.slow_source import execute
from ingestion_tests.servers.sshd import SshServer
from ingestion_tests.servers.stack import Stack, wait_final
from ingestion_tests.sources.conftest import request_for
from ingestion_tests.sources.sftp_site import SftpSite

ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
CSV = b"id,name\n1,a\n2,b\n"


@pytest.fixture
def connector(sftp: SftpSite, context: ConnectorContext) -> Any:
    def make(**changes: Any) -> SftpConnector:
        return SftpConnector(sftp.details(**changes), replace(context, resolve_secret=sftp.secrets.__getitem__))

    return make


def rows_of(result: Extraction, folder: Path) -> list[dict[str, Any]]:
    return [row for file in result.files for row in pq.read_table(folder / file.name).to_pylist()]


@pytest.mark.parametrize(
    ("name", "data", "params"),
    [
        ("rows.csv", CSV, {}),
        ("rows.csv.gz", gzip.compress(CSV, mtime=0), {}),
        ("rows.json", json.dumps(ROWS).encode(), {}),
        ("rows.xml", b"<rows><row><id>1</id><name>a</name></row><row><id>2</id><name>b</name></row></rows>", {}),
        ("rows.txt", CSV.replace(b",", b"|"), {"field_delimiter": "|", "skip_header_rows": 1}),
    ],
)
def test_every_advertised_format_is_read(
    sftp: SftpSite, connector: Any, tmp_path: Path, name: str, data: bytes, params: dict[str, Any]
) -> None:
    sftp.server.put(name, data)
    request = request_for(FileExtraction.model_validate({"file_pattern": "rows.*", **params}), tmp_path / "s")
    result = connector().extract(request)
    assert rows_of(result, tmp_path / "s") == ROWS
    assert (result.rows, result.rejected, result.bytes_read) == (2, 0, len(data))
    assert result.task_params == {
        "host": "127.0.0.1",
        "remote_path": str(sftp.server.files),
        "object": name,
        "destination": str(tmp_path / "s"),
    }


def test_files_come_in_order_and_those_that_were_loaded_are_not_read_again(
    sftp: SftpSite, connector: Any, tmp_path: Path
) -> None:
    sftp.server.put("in/b.csv", CSV)
    sftp.server.put("in/a.csv", CSV)
    sftp.server.put("in/.c.csv.part", CSV)
    source = connector(file_pattern="in/*")
    first = source.extract(request_for(FileExtraction(), tmp_path / "1"))
    assert [version.name for version in first.objects] == ["in/a.csv", "in/b.csv"]
    sftp.server.put("in/c.csv", CSV)
    sftp.server.put("in/a.csv", CSV + b"3,c\n")
    again = request_for(FileExtraction(), tmp_path / "2", skip_objects=frozenset(first.objects))
    second = source.extract(again)
    assert [version.name for version in second.objects] == ["in/a.csv", "in/c.csv"]
    assert (second.rows, second.skipped_objects) == (5, 1)


def test_no_match_names_the_pattern(connector: Any, tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"^Source file not found: sales_20261124\.csv$"):
        connector(file_pattern="sales_{{ds_nodash}}.csv").extract(request_for(FileExtraction(), tmp_path / "s"))


def test_a_cancel_ends_the_connection(sftp: SftpSite, connector: Any, tmp_path: Path) -> None:
    sftp.server.put("a.csv", CSV * 100_000)

    def cancel(metrics: Any) -> None:
        raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        connector(file_pattern="*").extract(request_for(FileExtraction(), tmp_path / "s", progress=cancel))
    assert all(thread.name != "background-loop" for thread in threading.enumerate())


def test_describe_shows_fields_and_samples(sftp: SftpSite, connector: Any) -> None:
    sftp.server.put("a.csv", CSV)
    described = connector().describe("*.csv", 1)
    assert [(field.name, field.type.value) for field in described.schema.fields] == [
        ("id", "INTEGER"),
        ("name", "STRING"),
    ]
    assert described.sample_rows == ROWS[:1]


def test_a_connection_test_measures_what_is_there(sftp: SftpSite, connector: Any) -> None:
    sftp.server.put("a.csv", CSV)
    sftp.server.put("b.csv", CSV)
    report = connector(file_pattern="*.csv").check(10)
    assert report.successful
    assert report.measurements["available_objects"] == 2
    assert report.measurements["total_size_bytes"] == 2 * len(CSV)
    assert report.results["permissions"] == ["read", "list"]
    assert [check["name"] for check in report.results["checks"]] == [
        "name_resolution",
        "tcp",
        "host_key",
        "authentication",
        "list",
        "read",
    ]


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("changes", "code", "failed"),
    [
        (lambda: {"host": "no-such-host.invalid"}, "CONNECTION_FAILED", "name_resolution"),
        (lambda: {"port": unused_port()}, "CONNECTION_FAILED", "tcp"),
        (lambda: {"host_key": "SHA256:" + "A" * 43}, "HOST_KEY_MISMATCH", "host_key"),
        (lambda: {"username": "stranger"}, "AUTHENTICATION_FAILED", "authentication"),
        (lambda: {"remote_path": "/no/such/folder"}, "FILE_NOT_FOUND", "list"),
        (lambda: {"file_pattern": "closed/*"}, "PERMISSION_DENIED", "list"),
        (lambda: {"file_pattern": "secret.csv"}, "PERMISSION_DENIED", "read"),
    ],
)
def test_a_connection_test_says_which_step_failed(
    sftp: SftpSite, connector: Any, changes: Any, code: str, failed: str
) -> None:
    sftp.server.put("closed/a.csv", CSV)
    (sftp.server.files / "closed").chmod(0)
    sftp.server.put("secret.csv", CSV).chmod(0)
    report = connector(**changes()).check(10)
    (sftp.server.files / "closed").chmod(0o755)
    assert not report.successful
    assert report.results["error_code"] == code
    assert report.results["checks"][-1] == {"name": failed, "passed": False, "message": report.results["reason"]}
    assert all(check["passed"] for check in report.results["checks"][:-1])
    assert report.results["missing_permissions"] == ([failed] if code == "PERMISSION_DENIED" else [])


def test_from_the_server_to_the_table(sshd: SshServer, stack: Stack, client: httpx.Client) -> None:
    for name in ("a.csv", "b.csv"):
        sshd.put(f"out/{name}", b"id,name\n" + b"".join(b"%d,n%d\n" % (n, n) for n in range(1000)))
    secret = stack.home / "secrets" / "sftp-key"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text(sshd.private_key)
    connection = {
        "host": "127.0.0.1",
        "port": sshd.port,
        "username": sshd.username,
        "private_key_secret": "file://sftp-key",
        "host_key": sshd.fingerprint(),
        "remote_path": str(sshd.files),
        "file_pattern": "out/*.csv",
    }
    source = {"name": "files by SFTP", "source_type": "SFTP", "connection_details": connection}
    tested = client.post("/sources/test-connection", json={name: source[name] for name in source if name != "name"})
    assert tested.json()["connection_successful"], tested.text
    assert tested.json()["connection_details"]["available_objects"] == 2
    source_id = client.post("/sources", json=source).json()["data"]["source_id"]
    described = client.get(f"/sources/{source_id}/schema/out/*.csv").json()["data"]
    assert [(field["name"], field["type"]) for field in described["fields"]] == [("id", "INTEGER"), ("name", "STRING")]
    body = {"pipeline_name": "SFTP", "source_id": source_id, "target_dataset": "by_sftp", "target_table": "rows"}
    pipeline_id = client.post("/pipelines", json=body).json()["data"]["pipeline_id"]
    done = wait_final(client, execute(client, pipeline_id))
    assert (done["status"], done["records_processed"]) == ("SUCCESS", 2000), done
    sshd.allow()  # The right is taken away: the table stays as it is.
    failed = wait_final(client, execute(client, pipeline_id))
    assert failed["status"] == "FAILED"
    assert failed["error_details"]["error_code"] == "AUTHENTICATION_FAILED"
    with duckdb.connect(str(stack.home / "warehouse" / "by_sftp.duckdb"), read_only=True) as warehouse:
        assert warehouse.execute("SELECT count(*), sum(id) FROM rows").fetchall() == [(2000, 999_000)]
