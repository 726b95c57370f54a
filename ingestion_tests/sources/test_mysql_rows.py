"""Rows as lines of CSV."""

from __future__ import annotations

import pytest

from ingestion.errors import TooLarge
from ingestion_tests.sources.mysql_workbench import MysqlDatabase


def test_a_row_larger_than_the_server_sends_is_an_error_and_no_null(mysql: MysqlDatabase) -> None:
    limit = int(mysql.run("SELECT @@global.max_allowed_packet")[0][0])
    mysql.run(
        "CREATE TABLE t (id INT, body LONGTEXT, more LONGTEXT)",
        f"INSERT INTO t VALUES (1, 'x', ''), (2, REPEAT('x', {limit // 2}), REPEAT('y', {limit // 2}))",
    )
    with pytest.raises(TooLarge, match="row 2 is longer than the server's max_allowed_packet"):
        mysql.extract(table="t")
    assert mysql.extract(query="SELECT id, body FROM t")[0].rows == 2


def test_large_cells_come_over_exactly_and_in_linear_time(mysql: MysqlDatabase) -> None:
    mysql.run(
        "CREATE TABLE t (id INT, text LONGTEXT, raw LONGBLOB, doc JSON, word VARCHAR(2000))",
        "INSERT INTO t VALUES (1, REPEAT('a\"é,\n', 100000), REPEAT(0x0022FF0A2C, 100000), "
        "CONCAT('[', REPEAT('\"x\",', 50000), '1]'), REPEAT('\"', 2000)), (2, '', '', '\"\"', '')",
    )
    _, (large, small) = mysql.extract(table="t")
    assert large == {
        "id": 1,
        "text": 'a"é,\n' * 100000,
        "raw": b'\x00"\xff\n,' * 100000,
        "doc": "[" + '"x",' * 50000 + "1]",
        "word": '"' * 2000,
    }
    assert small == {"id": 2, "text": "", "raw": b"", "doc": '""', "word": ""}
