"""The connection test names the step that failed."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion_tests.servers.mariadb import PASSWORD
from ingestion_tests.sources.mysql_workbench import READER, WRONG, MysqlDatabase


def test_check_goes_step_by_step(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT)", "CREATE VIEW v AS SELECT * FROM t")
    report = mysql.connector(**READER).check(10)
    assert report.successful
    names = [check["name"] for check in report.results["checks"]]
    assert names == ["name_resolution", "tcp", "tls", "authentication", "list", "read"]
    assert report.measurements["available_objects"] == 2
    assert report.measurements["total_size_bytes"] > 0
    assert isinstance(report.measurements["latency_ms"], int)
    assert report.results["permissions"] == ["read", "list"]
    assert PASSWORD not in str(report)


@pytest.mark.parametrize(
    ("changes", "step", "code"),
    [
        ({"host": "no-such-host.invalid"}, "name_resolution", "CONNECTION_FAILED"),
        ({"port": 1}, "tcp", "CONNECTION_FAILED"),
        ({"sslmode": "verify-full"}, "tls", "TLS_ERROR"),
        (WRONG, "authentication", "AUTHENTICATION_FAILED"),
        ({"database": "not_there"}, "database", "OBJECT_NOT_FOUND"),
        ({"host": None, "port": None, "unix_socket": "/nowhere.sock"}, "connection", "CONNECTION_FAILED"),
    ],
)
def test_the_step_that_failed_is_the_last(mysql: MysqlDatabase, changes: dict[str, Any], step: str, code: str) -> None:
    report = mysql.connector(**changes).check(10)
    assert not report.successful
    assert (report.results["checks"][-1]["name"], report.results["error_code"]) == (step, code)
    assert "battery-staple-7" not in str(report)


def test_tables_that_may_not_be_read_are_named(mysql: MysqlDatabase) -> None:
    weak = f"partly_{mysql.name}"
    mysql.run(
        "CREATE TABLE open_one (id INT)",
        "CREATE TABLE closed_one (id INT)",
        f"CREATE USER {weak}@'%'",
        f"GRANT SELECT ON {mysql.name}.open_one TO {weak}@'%'",
        f"GRANT INSERT ON {mysql.name}.closed_one TO {weak}@'%'",
    )
    report = mysql.connector(credentials={"username": weak}).check(10)
    assert report.successful
    assert report.results["checks"][-1]["message"] == "1 of 2 tables can be read; not closed_one"
    assert report.measurements["available_objects"] == 1
    mysql.run(f"DROP USER {weak}@'%'")


def test_a_broken_view_does_not_fail_the_test(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT)", "CREATE TABLE gone (id INT)", "CREATE VIEW broken AS SELECT id FROM gone")
    mysql.run("DROP TABLE gone")
    report = mysql.connector().check(10)
    assert report.successful
    assert report.results["checks"][-1]["message"] == "1 of 2 tables can be read; not broken"
