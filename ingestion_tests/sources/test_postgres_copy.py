"""Values of all types as they come over."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import psycopg
import pytest

from ingestion.errors import QueryFailed
from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion_tests.sources.postgres_workbench import Database

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
    result, rows = database.extract(database.connector(part_bytes=1 << 20), table="awkward")
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
        ("date", "10000-01-01", "DATE"),
        ("timestamp", "12000-01-01 00:00:00", "DATETIME"),
        ("timestamptz", "0044-03-15 00:00:00 BC", "TIMESTAMP"),
        ("json", '"\\ud800"', "JSON"),
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


MORE = {
    "tsvector": ("'fat':2 'cat':3", "'cat':3 'fat':2"),
    "point": ("(1.5,-2)", "(1.5,-2)"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:03"),
    "varbit": ("101", "101"),
    "cidr": ("10.0.0.0/8", "10.0.0.0/8"),
    "tstzrange": ("[2024-01-01 00:00+00,infinity)", '["2024-01-01 00:00:00+00",infinity)'),
    "int4multirange": ("{[1,3),[5,9)}", "{[1,3),[5,9)}"),
    "interval": ("-1 day -00:00:01.5", "P-1DT-1.5S"),
    "timetz": ("24:00-15:59", "24:00:00-15:59"),
    "name": ("a name", "a name"),
    "xid8": ("18446744073709551615", "18446744073709551615"),
    "float8[]": ("{NaN,Infinity,NULL,0.1}", '["NaN","Infinity",null,0.1]'),
    "int[][]": ("{{1,NULL},{NULL,4}}", "[[1,null],[null,4]]"),
    "numeric[]": (
        "{1.10,99999999999999999999999999999999999999999}",
        "[1.10,99999999999999999999999999999999999999999]",
    ),
    "timestamp[]": ("{infinity}", '["infinity"]'),
    "jsonb[]": ('{"null",NULL}', "[null,null]"),
    "bytea": ("\\x", b""),
    "real": ("-Infinity", float("-inf")),
    "float8": ("1.7976931348623157e308", 1.7976931348623157e308),
    "int8": ("-9223372036854775808", -(2**63)),
    "numeric(38, 0)": ("9" * 38, Decimal("9" * 38)),
    "numeric(5, 7)": ("0.0012345", Decimal("0.0012345")),
    "timestamptz": ("0001-01-01 00:00:00+00", dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
    "date": ("9999-12-31", dt.date(9999, 12, 31)),
    "varchar": (" 007 ", " 007 "),
}


def test_values_of_further_types(database: Database) -> None:
    columns = ", ".join(f"c{index} {kind}" for index, kind in enumerate(MORE))
    values = ", ".join("'" + given.replace("'", "''") + "'" for given, _ in MORE.values())
    database.run(f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES ({values})", "INSERT INTO t DEFAULT VALUES")
    result, rows = database.extract(table="t")
    assert result.rejected == 0
    for index, (kind, (_, expected)) in enumerate(MORE.items()):
        assert rows[0][f"c{index}"] == expected, kind
        assert rows[1][f"c{index}"] is None, kind


def test_an_hstore_is_a_text(database: Database) -> None:
    if not database.one("SELECT count(*) FROM pg_available_extensions WHERE name = 'hstore'"):
        pytest.skip("this PostgreSQL has no hstore")
    database.run("CREATE EXTENSION hstore", "CREATE TABLE t AS SELECT 'a=>1,b=>NULL'::hstore AS h")
    assert database.extract(table="t")[1] == [{"h": '"a"=>"1", "b"=>NULL'}]


def test_bad_rows_among_many_are_told_one_by_one(database: Database) -> None:
    """In several batches, with good rows around them: none is lost and the good ones keep their order."""
    database.run(
        "CREATE TABLE t (id int, at timestamp, n numeric(12, 2), pad text)",
        "INSERT INTO t SELECT i, CASE WHEN i % 1000 = 0 THEN timestamp 'infinity' ELSE '2024-01-01' END, "
        "CASE WHEN i % 1500 = 0 THEN numeric 'NaN' ELSE i END, repeat('p', 200) FROM generate_series(1, 12000) i",
    )
    result, rows = database.extract(database.connector(part_bytes=1 << 19), table="t")
    bad = [number for number in range(1, 12001) if number % 1000 == 0 or number % 1500 == 0]
    assert (result.rows, result.rejected) == (12000 - len(bad), len(bad))
    assert [row["id"] for row in rows] == [number for number in range(1, 12001) if number not in bad]
    rejects = database.rejects(result)
    assert [row["position"] for row in rejects] == [f"row {number}" for number in bad]
    assert {row["column_name"] for row in rejects} == {"at", "n"}


def test_digits_that_the_target_cannot_hold_are_rejected_and_never_rounded(database: Database) -> None:
    database.run("CREATE TABLE t (v numeric)", f"INSERT INTO t VALUES (1.5), ({'9' * 39}), (1e-20), ('NaN'), (NULL)")
    known = TableSchema(fields=(SchemaField(name="v", type=FieldType.BIGNUMERIC),))
    result, rows = database.extract(table="t", changes={"known_schema": known})
    assert [row["v"] for row in rows] == [Decimal("1.5"), None]
    assert [row["got"] for row in database.rejects(result)] == ["9" * 39, "0.00000000000000000001", "NaN"]


def test_text_that_is_not_utf_8_is_refused(database: Database) -> None:
    name = f"{database.name}_ascii"
    database.run(f'CREATE DATABASE "{name}" ENCODING SQL_ASCII TEMPLATE template0')
    with psycopg.connect(database.server.url(name), autocommit=True) as connection:
        connection.execute("SET client_encoding = SQL_ASCII; CREATE TABLE t (v text)")
        connection.execute("INSERT INTO t VALUES ('fine'), (convert_from('\\xff'::bytea, 'SQL_ASCII'))")
    try:
        with pytest.raises(QueryFailed, match='invalid byte sequence for encoding "UTF8": 0xff'):
            database.extract(database.connector(database=name), table="t")
    finally:
        database.server.drop_database(database.server.url(name))
