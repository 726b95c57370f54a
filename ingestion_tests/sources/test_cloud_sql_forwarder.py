"""A Cloud SQL instance by its name: Google's side is the tests' own, the database behind it a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ingestion.errors import ConnectionFailed, SourceAuthenticationFailed
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.postgres import PostgresConnector
from ingestion_tests.servers.cloud_sql import INSTANCE, PROJECT, REGION, Authority, FakeCloudSql
from ingestion_tests.servers.postgres import SUPERUSER
from ingestion_tests.sources.postgres_workbench import ENDLESS, Database


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[FakeCloudSql]:
    server = request.getfixturevalue("postgres")
    with FakeCloudSql(server.host, server.port) as fake:
        yield fake


@pytest.fixture
def instance(running: FakeCloudSql) -> FakeCloudSql:
    """The instance as it is when nothing is wrong."""
    running.refusal, running.version, running.shown_authority = None, "POSTGRES_15", running.authority
    running.logins.clear()
    return running


def connector(instance: FakeCloudSql, database: Database, **changes: Any) -> PostgresConnector:
    details = {
        "instance_name": INSTANCE,
        "region": REGION,
        "project_id": PROJECT,
        "database": database.name,
        "endpoint": instance.endpoint,
        "credentials_secret": "env://KEY",
        "credentials": {"username": SUPERUSER},
        **changes,
    }
    context = replace(database.context, resolve_secret=lambda reference: instance.service_account_key)
    return PostgresConnector(CloudSqlConnection.model_validate(details), context)


def test_a_table_is_read_from_an_instance(instance: FakeCloudSql, database: Database) -> None:
    database.run("CREATE TABLE t AS SELECT i AS id, repeat('x', 1000) AS pad FROM generate_series(1, 20000) i")
    report = connector(instance, database, project_id=None).check(60)
    assert report.successful, report.results
    assert [check["name"] for check in report.results["checks"]] == ["cloud_sql", "authentication", "list", "read"]
    result, rows = database.extract(connector(instance, database), table="t", partition_column="id", partitions=3)
    assert [row["id"] for row in sorted(rows, key=lambda row: int(row["id"]))] == list(range(1, 20001))
    assert result.task_params["instance"] == INSTANCE
    assert instance.logins == [False, False]
    assert_nothing_is_left()


def test_a_login_by_iam_sends_a_token_and_no_password(instance: FakeCloudSql, database: Database) -> None:
    role = "reader@test-project.iam"
    database.run(f'DROP ROLE IF EXISTS "{role}"', f'CREATE ROLE "{role}" LOGIN', "CREATE TABLE t AS SELECT 1 AS id")
    database.run(f'GRANT SELECT ON t TO "{role}"')
    by_iam = connector(instance, database, iam_auth=True, credentials={"username": f"{role}.gserviceaccount.com"})
    report = by_iam.check(60)
    database.run(f'REVOKE ALL ON t FROM "{role}"', f'DROP ROLE "{role}"')
    assert report.successful, report.results
    assert report.results["checks"][1]["message"] == f"logged in as {role}"
    assert instance.logins == [True]


def test_a_cancel_reaches_the_server_through_the_forwarder(instance: FakeCloudSql, database: Database) -> None:
    def stop(metrics: Any) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        database.extract(
            connector(instance, database), query="SELECT pg_sleep(60)::text AS t", changes={"progress": stop}
        )
    assert_nothing_is_left()


def test_a_line_to_the_instance_that_is_cut_is_a_failed_connection(instance: FakeCloudSql, database: Database) -> None:
    def cut(metrics: Any) -> None:
        if metrics["rows_extracted"]:
            instance.cut()

    with pytest.raises(ConnectionFailed):
        database.extract(connector(instance, database), query=ENDLESS, changes={"progress": cut})
    assert_nothing_is_left()


REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "no right": ({"refusal": 403}, {}, "PERMISSION_DENIED", "needs roles/cloudsql.client"),
    "credentials refused": ({"refusal": 401}, {}, "AUTHENTICATION_FAILED", "Google refused the credentials"),
    "another name": ({}, {"instance_name": "no-such"}, "OBJECT_NOT_FOUND", "check project_id, region and its name"),
    "another region": ({}, {"region": "mars-1"}, "CONNECTION_FAILED", "got region mars-1, expected us-central1"),
    "no private address": ({}, {"ip_type": "PRIVATE"}, "CONNECTION_FAILED", "no address of the source's ip_type"),
    "another engine": ({"version": "MYSQL_8_0"}, {}, "SOURCE_NOT_SUPPORTED", "of another engine"),
    "another server": ({"shown_authority": Authority()}, {}, "TLS_ERROR", "certificate verify failed"),
}


@pytest.mark.parametrize(("state", "details", "code", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_hinders_is_told_apart(
    instance: FakeCloudSql, database: Database, state: dict[str, Any], details: dict[str, Any], code: str, message: str
) -> None:
    for name, value in state.items():
        setattr(instance, name, value)
    report = connector(instance, database, **details).check(30)
    assert (report.successful, report.results["error_code"]) == (False, code)
    assert message in report.results["reason"]
    assert report.results["checks"][-1]["name"] == "cloud_sql"
    assert_nothing_is_left()


def test_an_admin_api_elsewhere_needs_an_identity(instance: FakeCloudSql, database: Database) -> None:
    with pytest.raises(SourceAuthenticationFailed, match="credentials_secret"):
        database.extract(connector(instance, database, credentials_secret=None), table="t")
    assert_nothing_is_left()


def assert_nothing_is_left() -> None:
    """No thread of a forwarder goes on when it is closed."""
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("background-loop", "reading-"))]
