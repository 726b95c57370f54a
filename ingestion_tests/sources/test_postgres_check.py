"""The connection test, step by step."""

from __future__ import annotations

import socket
import time

from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.postgres_check import check_connection
from ingestion_tests.sources.postgres_workbench import Database


def test_an_empty_database_is_a_success(database: Database) -> None:
    report = database.connector().check(10)
    assert report.successful
    assert report.measurements["available_objects"] == 0


def test_what_cannot_be_read_is_named(database: Database) -> None:
    role = f"some_{database.name}"
    database.run(
        f"DROP ROLE IF EXISTS {role}",
        f"CREATE ROLE {role} LOGIN",
        "CREATE TABLE seen AS SELECT 1 AS id",
        "CREATE TABLE unseen AS SELECT 1 AS id",
        f"GRANT SELECT ON seen TO {role}",
    )
    report = database.connector(credentials={"username": role}).check(10)
    database.run(f"REVOKE ALL ON seen FROM {role}", f"DROP ROLE {role}")
    assert report.successful
    assert report.results["checks"][-1]["message"] == "1 of 2 tables can be read; not public.unseen"


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


def test_check_goes_step_by_step(database: Database) -> None:
    database.run("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")
    report = database.connector().check(10)
    assert report.successful
    assert [check["name"] for check in report.results["checks"]] == [
        "name_resolution",
        "tcp",
        "tls",
        "authentication",
        "list",
        "read",
    ]
    assert report.measurements["available_objects"] == 1
    assert report.measurements["total_size_bytes"] > 0
    assert isinstance(report.measurements["latency_ms"], int)
    assert report.results["permissions"] == ["read", "list"]
