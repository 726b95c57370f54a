"""The connection test, step by step."""

from __future__ import annotations

import socket
import time

from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.postgres_check import check_connection
from ingestion_tests.sources.conftest import execute


def test_all_steps_of_a_source_that_works(postgres_source: CloudSqlConnection, context: ConnectorContext) -> None:
    execute(postgres_source, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id", "CREATE VIEW v AS SELECT 1")
    report = check_connection(postgres_source, context, 10)
    assert report.successful
    assert all(check["passed"] for check in report.results["checks"])
    assert report.results["checks"][-1] == {"name": "read", "passed": True, "message": "2 of 2 tables can be read"}
    assert report.measurements["available_objects"] == 2
    assert "error_code" not in report.results


def test_an_empty_database_is_a_success(postgres_source: CloudSqlConnection, context: ConnectorContext) -> None:
    report = check_connection(postgres_source, context, 10)
    assert report.successful
    assert report.measurements["available_objects"] == 0


def test_a_server_that_says_nothing_is_given_up_in_time(context: ConnectorContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = CloudSqlConnection(host="127.0.0.1", port=silent.getsockname()[1], database="d")
        started = time.monotonic()
        report = check_connection(connection, context, 1)
    assert time.monotonic() - started < 10
    assert (report.successful, report.results["error_code"]) == (False, "TIMEOUT")
    assert [(check["name"], check["passed"]) for check in report.results["checks"]] == [
        ("name_resolution", True),
        ("tcp", True),
        ("connection", False),
    ]
    assert report.measurements["latency_ms"] >= 1000
