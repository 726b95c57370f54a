"""Values of all types as they come over."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

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
