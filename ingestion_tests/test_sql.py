"""Expressions of clients: what is one, what is not."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion.sql import expression_problem, ordering_problem, parquet_relation, row_json


@pytest.mark.parametrize(
    "text",
    [
        "amount * 2",
        "a -- with a comment",
        "CASE WHEN a THEN 1 END",
        "a::INTEGER",
        "list_transform(l, lambda x: x + 1)",
        "a IN (1, 2) AND b ILIKE 'x;y%'",
        "EXTRACT(year FROM d)",
        "coalesce(a, b, 'none')",
        "now()",
        "{'a': 1}.a",
        '"odd ""name"""',
    ],
)
def test_expressions_over_a_row_are_taken(text: str) -> None:
    assert expression_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "SELECT clause"),
        ("a +", r"syntax error at end of input \(line 1, column 4\)"),
        ("'é' ||\n  a b c", r"syntax error .* \(line 2, column 7\)"),
        ("'éé' || sum(b)", r"single rows \(line 1, column 9\)"),
        ("a +\n  sum(b)", r"does not work on single rows \(line 2, column 3\)"),
        ("a) , (b", r"syntax error .* \(line 1, column 2\)"),
        ("a, b", "exactly one expression"),
        ("a;", "semicolon"),
        ("1; DROP TABLE x", "semicolon"),
        ("a AS b", "alias"),
        ("a FROM t", "no clauses"),
        ("a UNION SELECT 1", "no clauses"),
        ("DISTINCT a", "no clauses"),
        ("a LIMIT 1", "no clauses"),
        ("(SELECT 1)", "subquery"),
        ("a IN (SELECT 1)", "subquery"),
        ("EXISTS (FROM read_csv('/etc/passwd'))", "subquery"),
        ("read_csv('x')", "does not work on single rows"),
        ("sum(a)", "does not work on single rows"),
        ("sum(a) OVER ()", "window"),
        ("unnest(l)", "does not work on single rows"),
        ("random()", "differently at every call"),
        ("upper(nextval('s')::VARCHAR)", "differently at every call"),
        ("nosuch(a)", "there is no function nosuch"),
        ("current_setting('home_directory')", "not allowed"),
        ("?", "placeholder"),
        ("*", "name the columns"),
        ("COLUMNS('a.*')", "name the columns"),
        ("#1", "by position"),
        ("+".join(["a"] * 3000), "."),
    ],
)
def test_everything_else_is_refused(text: str, problem: str) -> None:
    found = expression_problem(text)
    assert found is not None
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(found)


def test_many_parentheses_are_no_trouble() -> None:
    assert expression_problem("(" * 3000 + "a" + ")" * 3000) is None


@pytest.mark.parametrize("text", ["a", "a DESC", "a DESC NULLS LAST, lower(b)", "a -- why"])
def test_orderings_are_taken(text: str) -> None:
    assert ordering_problem(text) is None


@pytest.mark.parametrize("text", ["a LIMIT 1", "a;", "ALL", "(SELECT 1)", "random()", "a) OVER (", "sum(a)", ""])
def test_what_is_no_ordering_is_refused(text: str) -> None:
    assert ordering_problem(text) is not None


def test_parquet_files_below_any_folder_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] *" / "year=2023"
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        for number in (1, 2):
            target = str(folder / f"{number}.parquet").replace("'", "''")
            connection.execute(f"COPY (SELECT {number} AS a) TO '{target}' (FORMAT parquet)")
        relation = parquet_relation([folder / "2.parquet", folder / "1.parquet"])
        assert connection.execute(f"SELECT * FROM {relation}").fetchall() == [(2,), (1,)]


def test_a_row_as_json_gives_every_value_back() -> None:
    parts = (
        SchemaField(name="b", type=FieldType.BYTES),
        SchemaField(name="f", type=FieldType.FLOAT),
        SchemaField(name="fs", type=FieldType.FLOAT, mode=FieldMode.REPEATED),
    )
    schema = TableSchema(
        fields=(
            SchemaField(name="r", type=FieldType.RECORD, fields=parts),
            SchemaField(name="rs", type=FieldType.RECORD, mode=FieldMode.REPEATED, fields=parts),
            SchemaField(name="n", type=FieldType.NUMERIC, precision=38, scale=9),
            SchemaField(name="x0", type=FieldType.BYTES, mode=FieldMode.REPEATED),
        )
    )
    record = r"{'b': '\x00\xFF'::BLOB, 'f': 'nan'::DOUBLE, 'fs': ['inf'::DOUBLE, '-inf'::DOUBLE, 0.1, NULL, -0.0]}"
    number = "99999999999999999999999999999.999999999"
    values = f"{record} AS r, [{record}, NULL] AS rs, {number} AS n, [''::BLOB, NULL] AS x0"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {row_json(schema)} FROM (SELECT {values})").fetchone()
        nothing = connection.execute(
            f"SELECT {row_json(schema)} FROM (SELECT NULL::STRUCT(b BLOB, f DOUBLE, fs DOUBLE[]) AS r, "
            "[]::STRUCT(b BLOB, f DOUBLE, fs DOUBLE[])[] AS rs, NULL::DECIMAL(38,9) AS n, NULL::BLOB[] AS x0)"
        ).fetchone()
    expected = {"b": "AP8=", "f": "nan", "fs": ["inf", "-inf", 0.1, None, -0.0]}
    assert found is not None
    told = json.loads(found[0], parse_float=str)
    assert told["n"] == number
    told = json.loads(found[0])
    assert (told["r"], told["rs"], told["x0"]) == (expected, [expected, None], ["", None])
    assert nothing is not None
    assert json.loads(nothing[0]) == {"r": None, "rs": [], "n": None, "x0": None}
