"""Tables found by their names, and queries that can only read."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import ExecutionFailure, ObjectMissing, QueryFailed, SourcePermissionDenied
from ingestion_tests.sources.mysql_workbench import MysqlDatabase


def test_tables_are_found_here_and_in_other_databases(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE `a.b` (x INT)",
        "CREATE TABLE `odd ``name` (`co``l` INT)",
        f"CREATE DATABASE {mysql.name}_other",
        f"CREATE TABLE {mysql.name}_other.there (id INT PRIMARY KEY)",
    )
    assert mysql.extract(table="a.b")[0].schema.names == ["x"]
    assert mysql.extract(table="odd `name")[0].schema.names == ["co`l"]
    there, _ = mysql.extract(table=f"{mysql.name}_other.there")
    assert there.keys == ("id",)
    mysql.server.drop_database(f"{mysql.name}_other")


def test_keys_of_several_columns_come_in_their_order(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (a INT, b INT, c INT, PRIMARY KEY (c, a))", "CREATE TABLE none (a INT UNIQUE)")
    assert mysql.extract(table="t")[0].keys == ("c", "a")
    assert mysql.extract(table="t", primary_key="b")[0].keys == ("b",)
    assert mysql.extract(table="none")[0].keys == ()
    mysql.run("CREATE TABLE hidden (a INT INVISIBLE PRIMARY KEY DEFAULT 0, b INT)")
    assert mysql.extract(table="hidden")[0].keys == ()


def test_macros_are_bound_and_not_spliced(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE t (id INT, at DATETIME, note TEXT)",
        "INSERT INTO t VALUES (1, '2026-11-24', '50%'), (2, '2026-11-23', 'x')",
    )
    query = "SELECT id, note FROM t WHERE at >= '{{ds}}' AND note LIKE '%\\%' -- the last ones\n;"
    _, rows = mysql.extract(query=query)
    assert rows == [{"id": 1, "note": "50%"}]


@pytest.mark.parametrize(
    "query",
    [
        "WITH x AS (SELECT 1 AS id) SELECT * FROM x",
        "SELECT 1 AS id UNION ALL SELECT 2 LIMIT 1",
        "(SELECT 1 AS id) # comment",
        "SELECT t.id FROM (SELECT 1 AS id) t LEFT JOIN (SELECT 2 AS other) o ON t.id = o.other",
    ],
)
def test_queries_of_every_form(mysql: MysqlDatabase, query: str) -> None:
    assert mysql.extract(query=query)[1] == [{"id": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t RETURNING id",
        "SELECT 1; SELECT 2",
        "SELECT id FROM t) AS x; DROP TABLE t; SELECT * FROM (SELECT 1 AS id",
        "SELECT id FROM t) AS x INTO OUTFILE '/tmp/stolen' /*",
        "SELECT id FROM t INTO OUTFILE '/tmp/stolen'",
        "SELECT id INTO @x FROM t",
        "DROP TABLE t",
        "SELECT NEXTVAL(s)",
        "SELECT 1 AS a, 2 AS a",
        "CALL nothing()",
        "SELECT /*",
    ],
)
def test_only_a_single_statement_that_reads_is_run(mysql: MysqlDatabase, query: str) -> None:
    mysql.run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)", "CREATE SEQUENCE s")
    with pytest.raises(ExecutionFailure) as caught:
        mysql.extract(query=query)
    assert caught.value.code in ("QUERY_ERROR", "OBJECT_NOT_FOUND")
    assert mysql.extract(table="t")[1] == [{"id": 7}]


def test_a_wrong_query_says_where(mysql: MysqlDatabase) -> None:
    with pytest.raises(QueryFailed, match=r"near 'x y' at line 2"):
        mysql.extract(query="SELECT 1\nFRM x y")


def test_what_is_missing_is_missing(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT)")
    reads: list[dict[str, Any]] = [{"table": "gone"}, {"table": "gone.t"}, {"query": "SELECT x FROM t"}]
    for given in [*reads, {"query": "SELECT * FROM gone"}]:
        with pytest.raises(ObjectMissing):
            mysql.extract(**given)
    with pytest.raises(ObjectMissing, match="Unknown database"):
        mysql.extract(mysql.connector(database="not_there"), table="t")


def test_a_renamed_column_and_a_dropped_table_are_told(mysql: MysqlDatabase) -> None:
    mysql.run("CREATE TABLE t (id INT, at DATE)", "ALTER TABLE t RENAME COLUMN at TO seen")
    with pytest.raises(ObjectMissing, match="no column 'at'; it has id, seen"):
        mysql.extract(table="t", incremental_key="at")
    mysql.run("DROP TABLE t")
    with pytest.raises(ObjectMissing, match=r"'.*\.t' doesn't exist"):
        mysql.extract(table="t")


def test_a_table_without_the_right_to_read_it_is_denied(mysql: MysqlDatabase) -> None:
    weak = f"weak_{mysql.name}"
    mysql.run(
        "CREATE TABLE t (id INT)",
        "CREATE TABLE other (id INT)",
        f"CREATE USER {weak}@'%'",
        f"GRANT SELECT ON {mysql.name}.* TO {weak}@'%'",
    )
    connector = mysql.connector(credentials={"username": weak})
    assert mysql.extract(connector, table="t")[0].rows == 0
    mysql.run(f"REVOKE SELECT ON {mysql.name}.* FROM {weak}@'%'", f"GRANT INSERT ON {mysql.name}.other TO {weak}@'%'")
    reads: list[dict[str, Any]] = [{"table": "t"}, {"table": "other"}, {"query": "SELECT * FROM t"}]
    for given in reads:
        with pytest.raises(SourcePermissionDenied, match="SELECT command denied"):
            mysql.extract(connector, **given)
    report = connector.check(10)
    assert (report.successful, report.results["missing_permissions"]) == (False, ["read"])
    mysql.run(f"DROP USER {weak}@'%'")
