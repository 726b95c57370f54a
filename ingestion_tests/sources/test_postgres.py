from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from ingestion.errors import (
    ConnectionFailed,
    ObjectMissing,
    QueryFailed,
    SourceAuthenticationFailed,
    SourceNotSupported,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
)
from ingestion.model.connections import CloudSqlConnection
from ingestion.model.execution import ExecutionParams
from ingestion.model.extraction import DatabaseExtraction
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sources.base import ConnectorContext, Cursor, Extraction
from ingestion.sources.postgres import PostgresConnector
from ingestion_tests.servers.postgres import PASSWORD, PASSWORD_USER, SUPERUSER, PostgresServer
from ingestion_tests.sources.conftest import request_for


class Database:
    """A fresh database and connectors to it."""

    def __init__(self, server: PostgresServer, context: ConnectorContext, folder: Path) -> None:
        self.server = server
        self.url = server.create_database()
        self.name = self.url.rsplit("/", 1)[1]
        self.context = context
        self.folder = folder
        self._extractions = 0

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True, options="-c TimeZone=UTC") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def connector(self, chunk_bytes: int = 64 << 20, **changes: Any) -> PostgresConnector:
        given: dict[str, Any] = {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.name,
            "credentials": {"username": SUPERUSER},
            **changes,
        }
        return PostgresConnector(CloudSqlConnection.model_validate(given), self.context, chunk_bytes)

    def extract(
        self, connector: PostgresConnector | None = None, *, changes: dict[str, Any] | None = None, **params: Any
    ) -> tuple[Extraction, list[dict[str, Any]]]:
        self._extractions += 1
        folder = self.folder / f"staging-{self._extractions}"
        request = request_for(DatabaseExtraction.model_validate(params), folder, **(changes or {}))
        result = (connector or self.connector()).extract(request)
        assert not (folder / "scratch").exists()
        return result, _rows(folder, result)

    def rejects(self, result: Extraction) -> list[dict[str, Any]]:
        folder = self.folder / f"staging-{self._extractions}"
        return [row for file in result.rejects for row in pq.read_table(folder / file.name).to_pylist()]


def _rows(folder: Path, result: Extraction) -> list[dict[str, Any]]:
    return [row for file in result.files for row in pq.read_table(folder / file.name).to_pylist()]


@pytest.fixture
def database(postgres: PostgresServer, context: ConnectorContext, tmp_path: Path) -> Iterator[Database]:
    made = Database(postgres, context, tmp_path)
    yield made
    postgres.drop_database(made.url)


AWKWARD = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN amount AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE TABLE awkward (
    id bigint PRIMARY KEY, small smallint, flag boolean, f4 real, f8 double precision,
    exact numeric(38, 10), rounded numeric(10, -2), loose numeric, huge numeric(60, 20), money money, dom amount,
    padded char(5), text text, day date, clock time, zoned timetz, plain timestamp, instant timestamptz,
    span interval, doc json, docb jsonb, uid uuid, raw bytea, feeling mood, many int[][], words text[],
    oid oid, net inet, span_of int4range, bits bit(5), markup xml, duo pair
)
"""
AWKWARD_ROW = """
SELECT i, -3, i % 2 = 0, 0.1, 0.1, 1234567890123456789012345678.0123456789, 12345, 12345.6789, 1e39 + 0.5,
    '$1,234.50', 12.34, 'ab', E'tab\\t"quote", line\\nend ''x'' \\\\ é', '0001-02-03', '23:59:59.999999',
    '10:00+05:30', '2024-02-29 12:00:00.000001', '2024-02-29 12:00:00.5+05:30', '1 year 2 mons 3 days 04:05:06.7',
    '{"b": 1.10, "a": [1,  2]}', 'null', '00000000-0000-0000-0000-00000000000a', '\\x00ff0a', 'ok',
    '{{1,2},{3,4}}', ARRAY['a,b', NULL, ''], 4000000000, '10.0.0.1/8', '[1,5)', B'10101', '<a b="c"/>',
    ROW(1, 'x,"y')::pair
"""


def test_awkward_values_come_over_exactly_across_many_batches(database: Database) -> None:
    database.run(*[part for part in AWKWARD.split(";\n") if part.strip()])
    database.run(f"INSERT INTO awkward {AWKWARD_ROW} FROM generate_series(1, 9000) i")
    result, rows = database.extract(database.connector(chunk_bytes=1 << 20), table="awkward")
    assert (result.rows, result.rejected) == (9000, 0)
    assert len(result.files) > 3
    assert [row["id"] for row in rows] == list(range(1, 9001))
    assert result.keys == ("id",)
    expected = {
        "small": -3,
        "f4": 0.10000000149011612,
        "f8": 0.1,
        "exact": Decimal("1234567890123456789012345678.0123456789"),
        "rounded": Decimal(12300),
        "loose": Decimal("12345.6789"),
        "huge": "1000000000000000000000000000000000000000.50000000000000000000",
        "money": "$1,234.50",
        "dom": Decimal("12.34"),
        "padded": "ab   ",
        "text": "tab\t\"quote\", line\nend 'x' \\ é",
        "day": dt.date(1, 2, 3),
        "clock": dt.time(23, 59, 59, 999999),
        "zoned": "10:00:00+05:30",
        "plain": dt.datetime(2024, 2, 29, 12, 0, 0, 1),
        "instant": dt.datetime(2024, 2, 29, 6, 30, 0, 500000, tzinfo=dt.UTC),
        "span": "P1Y2M3DT4H5M6.7S",
        "doc": '{"b": 1.10, "a": [1,  2]}',
        "docb": "null",
        "uid": "00000000-0000-0000-0000-00000000000a",
        "raw": b"\x00\xff\n",
        "feeling": "ok",
        "many": "[[1,2],[3,4]]",
        "words": '["a,b",null,""]',
        "oid": 4000000000,
        "net": "10.0.0.1/8",
        "span_of": "[1,5)",
        "bits": "10101",
        "markup": '<a b="c"/>',
        "duo": '{"a":1,"b":"x,\\"y"}',
    }
    for row in (rows[0], rows[4500], rows[8999]):
        for name, value in expected.items():
            assert row[name] == value, name
    assert [row["flag"] for row in rows[:2]] == [False, True]
    types = {field.name: field.type.value for field in result.schema.fields}
    assert types["doc"] == types["many"] == types["duo"] == "JSON"
    assert types["plain"] == "DATETIME"
    assert types["instant"] == "TIMESTAMP"
    assert types["exact"] == "BIGNUMERIC"
    assert result.schema.fields[0].mode is FieldMode.REQUIRED


def test_null_and_empty_text_stay_apart(database: Database) -> None:
    database.run("CREATE TABLE t (a text)", "INSERT INTO t VALUES (NULL), (''), ('NULL'), (E'\\\\N'), (E'\\n')")
    result, rows = database.extract(table="t")
    assert [row["a"] for row in rows] == [None, "", "NULL", "\\N", "\n"]
    assert result.rows == 5


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("numeric(10, 2)", "NaN", "BIGNUMERIC|NUMERIC(10, 2)"),
        ("date", "infinity", "DATE"),
        ("date", "0044-03-15 BC", "DATE"),
        ("timestamp", "-infinity", "DATETIME"),
        ("timestamptz", "infinity", "TIMESTAMP"),
        ("time", "24:00", "TIME"),
    ],
)
def test_what_no_target_can_hold_is_rejected_with_its_row(
    database: Database, kind: str, value: str, expected: str
) -> None:
    database.run(f"CREATE TABLE t (id int, v {kind})", f"INSERT INTO t VALUES (1, NULL), (2, '{value}'), (3, NULL)")
    result, rows = database.extract(table="t")
    assert (result.rows, result.rejected) == (2, 1)
    assert [row["id"] for row in rows] == [1, 3]
    (reject,) = database.rejects(result)
    assert (reject["position"], reject["error_code"], reject["column_name"]) == ("row 2", "TYPE_MISMATCH", "v")
    assert reject["expected"] in expected.split("|")
    assert reject["got"].startswith(value[:5])
    assert '"id": "2"' in reject["raw_row"]


def test_not_a_number_stays_one_in_a_double(database: Database) -> None:
    database.run("CREATE TABLE t (v float8)", "INSERT INTO t VALUES ('NaN'), ('Infinity'), (1.5)")
    _, rows = database.extract(table="t")
    assert str([row["v"] for row in rows]) == "[nan, inf, 1.5]"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("(1.5), (NULL)", FieldType.NUMERIC),
        ("(NULL)", FieldType.NUMERIC),
        ("(1e-15)", FieldType.BIGNUMERIC),
        ("(1e-30)", FieldType.STRING),
        ("('NaN')", FieldType.STRING),
    ],
)
def test_a_decimal_without_precision_is_what_holds_all_its_values(
    database: Database, values: str, kind: FieldType
) -> None:
    database.run("CREATE TABLE t (v numeric)", f"INSERT INTO t VALUES {values}")
    result, _ = database.extract(table="t")
    assert result.schema.fields[0].type is kind
    assert result.rejected == 0


def test_a_decimal_without_precision_stays_what_the_target_has(database: Database) -> None:
    database.run("CREATE TABLE t (v numeric)", "INSERT INTO t VALUES (1), (1e-30)")
    known = TableSchema(fields=(SchemaField(name="v", type=FieldType.NUMERIC),))
    result, rows = database.extract(table="t", changes={"known_schema": known})
    assert [row["v"] for row in rows] == [Decimal(1)]
    assert result.rejected == 1


def test_macros_are_bound_and_not_spliced(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, at timestamptz, note text)",
        "INSERT INTO t VALUES (1, '2026-11-24', '50%'), (2, '2026-11-23', 'x')",
    )
    query = "SELECT id, note FROM t WHERE at >= '{{ds}}' AND note LIKE '%\\%' -- the last ones\n;"
    result, rows = database.extract(query=query)
    assert rows == [{"id": 1, "note": "50%"}]
    assert result.schema.names == ["id", "note"]
    assert result.task_params["sql"] == query


def test_columns_of_one_name_are_told_apart(database: Database) -> None:
    _, rows = database.extract(query="SELECT 1 AS a, 2 AS a, 'x' AS \"A\"")
    assert rows == [{"a": 1, "a_2": 2, "A_3": "x"}]


def test_an_incremental_read_goes_from_the_cursor_to_the_present_end(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz)",
        "INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-01-02 00:00:00.000001+00'), (3, NULL), (4, 'infinity')",
    )
    first, rows = database.extract(table="t", incremental_key="at")
    assert sorted(row["id"] for row in rows) == [1, 2, 3]
    assert first.rejected == 1
    assert first.cursor == Cursor("at", "2024-01-02 00:00:00.000001+00")
    database.run("INSERT INTO t VALUES (5, '2024-01-03'), (6, '2023-12-31')")
    second, rows = database.extract(table="t", incremental_key="at", changes={"cursor": first.cursor})
    assert sorted(row["id"] for row in rows) == [2, 3, 5]
    assert second.cursor == Cursor("at", "2024-01-03 00:00:00+00")
    database.run("DELETE FROM t WHERE at > '2024-01-01'")
    third, rows = database.extract(table="t", incremental_key="at", changes={"cursor": second.cursor})
    assert [row["id"] for row in rows] == [3]
    assert third.cursor == second.cursor


@pytest.mark.parametrize(
    ("kind", "values"), [("numeric", ["9.9", "10.10"]), ("text", ["a'b", "c"]), ("int8", ["9", "10"])]
)
def test_cursors_of_any_type_are_exact(database: Database, kind: str, values: list[str]) -> None:
    quoted = ", ".join("('" + value.replace("'", "''") + "')" for value in values)
    database.run(f"CREATE TABLE t (k {kind})", f"INSERT INTO t VALUES {quoted}")
    first, _ = database.extract(table="t", incremental_key="k")
    assert first.cursor == Cursor("k", values[1])
    again, _ = database.extract(table="t", incremental_key="k", changes={"cursor": Cursor("k", values[0])})
    assert again.rows == 2


def test_a_backfill_reads_its_days_and_moves_no_cursor(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, at timestamp)",
        "INSERT INTO t VALUES (1, '2023-05-31 23:59:59'), (2, '2023-06-01'), (3, '2023-06-15 23:59:59.9'), "
        "(4, '2023-06-16'), (5, NULL)",
    )
    days = ExecutionParams(start_date=dt.date(2023, 6, 1), end_date=dt.date(2023, 6, 15))
    result, rows = database.extract(table="t", incremental_key="at", changes={"execution": days})
    assert [row["id"] for row in rows] == [2, 3]
    assert result.cursor is None


def test_a_backfill_by_a_number_is_refused(database: Database) -> None:
    database.run("CREATE TABLE t (id int)")
    with pytest.raises(QueryFailed, match="incremental_key that is a date or timestamp"):
        database.extract(
            table="t", incremental_key="id", changes={"execution": ExecutionParams(start_date=dt.date(2023, 6, 1))}
        )


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t RETURNING id",
        "WITH gone AS (DELETE FROM t RETURNING id) SELECT * FROM gone",
        "SELECT 1; SELECT 2",
        "SELECT id FROM t) AS x; DROP TABLE t; SELECT * FROM (SELECT 1 AS id",
        "DROP TABLE t",
        "SELECT nextval('s')",
        "SELECT id INTO other FROM t",
    ],
)
def test_only_a_single_statement_that_reads_is_run(database: Database, query: str) -> None:
    database.run("CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)", "CREATE SEQUENCE s")
    with pytest.raises(QueryFailed):
        database.extract(query=query)
    _, rows = database.extract(table="t")
    assert rows == [{"id": 7}]


def test_a_wrong_query_says_where(database: Database) -> None:
    with pytest.raises(QueryFailed, match=r"syntax error.*at character 14"):
        database.extract(query="SELECT 1 FRM x y")


def test_what_is_missing_is_missing(database: Database) -> None:
    with pytest.raises(ObjectMissing, match="nothing_here"):
        database.extract(table="nothing_here")
    with pytest.raises(ObjectMissing, match="nothing_here"):
        database.extract(query="SELECT * FROM nothing_here")
    with pytest.raises(ObjectMissing, match="does not exist"):
        database.extract(database.connector(database="not_there"), table="t")
    database.run("CREATE TABLE t (id int)")
    with pytest.raises(ObjectMissing, match="no column 'at'"):
        database.extract(table="t", incremental_key="at")


def test_tables_are_found_by_schema_and_by_exact_or_lower_case_name(database: Database) -> None:
    database.run(
        'CREATE SCHEMA "S x"',
        'CREATE TABLE "S x"."Table" (a int)',
        "CREATE TABLE plain (b int)",
        "CREATE VIEW seen AS SELECT 1 AS c",
    )
    assert database.connector().describe("S x.Table", 1).schema.names == ["a"]
    assert database.extract(table="PLAIN")[0].schema.names == ["b"]
    assert database.extract(table="public.plain")[0].schema.names == ["b"]
    assert database.extract(table="seen")[1] == [{"c": 1}]


def test_a_query_that_takes_too_long_is_a_timeout(database: Database) -> None:
    with pytest.raises(TimedOut):
        database.extract(query="SELECT pg_sleep(30)", statement_timeout_seconds=1)


def test_progress_may_stop_the_copy(database: Database) -> None:
    calls: list[Any] = []

    def stop(metrics: Any) -> None:
        calls.append(metrics)
        raise InterruptedError

    started = time.monotonic()
    with pytest.raises(InterruptedError):
        database.extract(
            query="SELECT repeat('x', 100) AS t FROM generate_series(1, 9999) i, generate_series(1, 9999) j",
            changes={"progress": stop},
        )
    assert time.monotonic() - started < 20
    assert calls[0]["rows_extracted"] > 0


def test_one_snapshot_serves_the_bound_and_the_rows(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int, pad text)", "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 60000) i"
    )
    inserted = threading.Event()

    def insert(metrics: Any) -> None:
        if not inserted.is_set():
            inserted.set()
            database.run("INSERT INTO t VALUES (99999999, 'late')")

    connector = database.connector(chunk_bytes=1 << 18)
    result, rows = database.extract(connector, table="t", incremental_key="id", changes={"progress": insert})
    assert result.cursor == Cursor("id", "60000")
    assert len(rows) == 60000


def test_a_connection_that_breaks_while_rows_come_is_a_failed_connection(database: Database) -> None:
    def cut(metrics: Any) -> None:
        database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = 'ingestion' AND datname = '{database.name}'"
        )

    query = "SELECT repeat('x', 1000) AS t FROM generate_series(1, 9999) i, generate_series(1, 9999) j"
    with pytest.raises(ConnectionFailed):
        database.extract(query=query, changes={"progress": cut})


READER: dict[str, Any] = {"credentials": {"username": PASSWORD_USER, "password_secret": "env://READER_PASSWORD"}}
WRONG: dict[str, Any] = {"credentials": {"username": PASSWORD_USER, "password_secret": "env://WRONG_PASSWORD"}}


def test_passwords_open_and_wrong_ones_never_show(database: Database) -> None:
    database.run("CREATE TABLE t (id int)")
    assert database.extract(database.connector(**READER), table="t")[0].rows == 0
    with pytest.raises(SourceAuthenticationFailed) as caught:
        database.extract(database.connector(**WRONG), table="t")
    assert "battery-staple-7" not in caught.value.message
    assert caught.value.__cause__ is None
    report = database.connector(**WRONG).check(5)
    assert report.results["error_code"] == "AUTHENTICATION_FAILED"
    assert "battery-staple-7" not in str(report)
    assert PASSWORD not in str(database.connector(**READER).check(5))


def test_a_table_without_the_right_to_read_it_is_denied(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int)",
        f"DROP ROLE IF EXISTS weak_{database.name}",
        f"CREATE ROLE weak_{database.name} LOGIN",
    )
    connector = database.connector(credentials={"username": f"weak_{database.name}"})
    with pytest.raises(SourcePermissionDenied):
        database.extract(connector, table="t")
    report = connector.check(5)
    assert report.results["missing_permissions"] == ["read"]
    assert not report.successful


def test_check_goes_step_by_step(database: Database) -> None:
    database.run("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")
    report = database.connector().check(10)
    assert report.successful
    assert [check["name"] for check in report.results["checks"]] == [
        "name_resolution",
        "tcp",
        "tls",
        "authentication",
        "read",
    ]
    assert report.measurements["available_objects"] == 1
    assert report.measurements["total_size_bytes"] > 0
    assert isinstance(report.measurements["latency_ms"], int)
    assert report.results["permissions"] == ["read", "list"]


def test_the_unix_socket_works_by_folder_and_by_path(database: Database) -> None:
    folder = str(database.server.socket_dir)
    database.run("CREATE TABLE t (id int)")
    by_folder = database.connector(host=None, unix_socket=folder)
    by_path = database.connector(host=None, port=None, unix_socket=f"{folder}/.s.PGSQL.{database.server.port}")
    assert database.extract(by_folder, table="t")[0].rows == 0
    assert by_path.check(5).successful


def test_failures_to_connect_are_told_apart(database: Database) -> None:
    closed = database.connector(port=1)
    with pytest.raises(ConnectionFailed):
        database.extract(closed, table="t")
    assert closed.check(3).results["checks"][-1]["name"] == "tcp"
    nameless = database.connector(host="no-such-host.invalid")
    assert nameless.check(3).results["checks"][-1]["name"] == "name_resolution"
    with pytest.raises(TlsFailed):
        database.extract(database.connector(sslmode="require"), table="t")
    assert database.connector(sslmode="require").check(3).results["checks"][-1]["name"] == "tls"


def test_an_instance_name_says_what_works_instead(database: Database) -> None:
    connector = database.connector(host=None, port=None, instance_name="p:r:i")
    with pytest.raises(ConnectionFailed, match="unix_socket"):
        database.extract(connector, table="t")
    report = connector.check(3)
    assert report.results["error_code"] == "CONNECTION_FAILED"


def test_describe_is_ready_for_json(database: Database) -> None:
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(20, 2), big numeric(30, 10), at timestamptz, day date, "
        "doc jsonb)",
        "COMMENT ON COLUMN t.price IS 'Price per unit'",
        "INSERT INTO t VALUES (1, 29.99, 12345678901234567890.0123456789, '2023-06-01T10:30:00Z', '2023-06-01', "
        """'{"a": [1]}'), (2, NULL, NULL, NULL, NULL, NULL)""",
    )
    described = database.connector().describe("t", 1)
    assert described.sample_rows == [
        {
            "id": 1,
            "price": 29.99,
            "big": "12345678901234567890.0123456789",
            "at": "2023-06-01T10:30:00Z",
            "day": "2023-06-01",
            "doc": {"a": [1]},
        }
    ]
    price = described.schema.get("price")
    assert price is not None
    assert (price.type, price.description) == (FieldType.NUMERIC, "Price per unit")


def test_mysql_is_not_supported_yet(database: Database, context: ConnectorContext) -> None:
    from ingestion.model.source import Source, SourceStatus, SourceType
    from ingestion.sources import connector_for

    at = context.now()
    source = Source(
        source_id="s",
        name="n",
        source_type=SourceType.CLOUD_SQL,
        connection_details={"host": "h", "database": "d", "engine": "MYSQL"},
        schema_version="1.0",
        description=None,
        is_active=True,
        created_at=at,
        updated_at=at,
        created_by="x",
        updated_by="x",
        status=SourceStatus.UNKNOWN,
        version=1,
    )
    with pytest.raises(SourceNotSupported, match="MySQL"):
        connector_for(source, context)
