from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ingestion.errors import ParseFailed, PartialFile, SchemaMismatch
from ingestion_tests.formats.conftest import Reader, known, schema_of


def test_rows_by_line_keep_every_digit(read: Reader) -> None:
    data = (
        b'{"id": 1, "big": 123456789012345678901234567890, "price": 1.50, "flag": true, "name": "a\\u00e9\\n"}\n'
        b'\n{"id": 2, "price": 12345678901234567.891, "flag": null, "extra": "x"}\r\n'
    )
    outcome = read({"a.ndjson": data})
    assert outcome.types == {
        "id": "INTEGER",
        "big": "STRING",
        "price": "STRING",
        "flag": "BOOLEAN",
        "name": "STRING",
        "extra": "STRING",
    }
    assert outcome.rows[0]["big"] == "123456789012345678901234567890"
    assert [row["price"] for row in outcome.rows] == ["1.50", "12345678901234567.891"]
    assert outcome.rows[0]["name"] == "aé\n"
    assert outcome.rows[1]["extra"] == "x"


def test_decimals_are_exact_where_declared(read: Reader) -> None:
    data = b'{"p": 12345678901234567.89}\n{"p": "1.10"}\n{"p": 1.005}\n'
    outcome = read({"a.jsonl": data}, schema=schema_of("p NUMERIC 20 2"))
    assert [row["p"] for row in outcome.rows] == [Decimal("12345678901234567.89"), Decimal("1.10")]
    assert outcome.brief() == [("line 3", "TYPE_MISMATCH", "p")]


def test_nested_values_are_json_as_written(read: Reader) -> None:
    data = b'{"a": {"x": 1.10,  "y": [1, null]}, "b": [1]}\n{"a": "text", "b": 5}\n{"b": null}\n'
    outcome = read({"a.json": data})
    assert outcome.types == {"a": "JSON", "b": "JSON"}
    assert [row["a"] for row in outcome.rows] == ['{"x": 1.10,  "y": [1, null]}', '"text"', None]


def test_strings_stay_strings(read: Reader) -> None:
    outcome = read({"a.json": b'{"d": "2024-01-01", "n": "5", "e": ""}\n'})
    assert outcome.types == {"d": "STRING", "n": "STRING", "e": "STRING"}
    assert outcome.rows == [{"d": "2024-01-01", "n": "5", "e": ""}]


def test_bad_lines_are_rejected_with_their_number(read: Reader) -> None:
    lines = [
        b'{"a": 1}',
        b'{"a": 2,}',
        b"[1]",
        b'{"a": NaN}',
        b"",
        b'{"a": "caf\xe9"}',
        b'{"a": "\\ud800"}',
        b'{"a": 3} x',
        b'{"a": 4}',
    ]
    outcome = read({"a.ndjson": b"\n".join(lines)})
    assert [row["a"] for row in outcome.rows] == [1, 4]
    assert [(position, code) for position, code, _ in outcome.brief()] == [
        ("line 2", "INVALID_JSON"),
        ("line 3", "NOT_AN_OBJECT"),
        ("line 4", "INVALID_JSON"),
        ("line 6", "INVALID_ENCODING"),
        ("line 7", "INVALID_ENCODING"),
        ("line 8", "INVALID_JSON"),
    ]
    assert outcome.rejects[0]["raw_row"] == '{"a": 2,}'


def test_of_a_key_given_twice_the_last_counts_and_case_makes_another_column(read: Reader) -> None:
    outcome = read({"a.ndjson": b'{"a": 1, "a": 2, "A": 3}\n'})
    assert outcome.rows == [{"a": 2, "A_2": 3}]


def test_an_array_and_a_document_are_read_in_pieces(read: Reader) -> None:
    rows = [{"id": number, "text": "x" * 100, "list": [1, {"a": "]}"}]} for number in range(30_000)]
    array = read({"a.json": json.dumps(rows, indent=1).encode()})
    assert [row["id"] for row in array.rows] == list(range(30_000))
    document = json.dumps({"meta": {"rows": [0]}, "data": {"skip": "}", "rows": rows[:3]}, "end": 1}, indent=2)
    outcome = read({"a.json": document.encode()}, data_path="data.rows")
    assert [row["id"] for row in outcome.rows] == [0, 1, 2]


def test_a_document_over_many_lines_is_one_row(read: Reader) -> None:
    assert read({"a.json": b'{\n "a": 1,\n "b": 2\n}\n'}).rows == [{"a": 1, "b": 2}]
    assert read({"a.json": b"[]"}).rows == []
    assert read({"a.json": b""}).rows == []
    assert read({"a.json": b' [ {"a": 1} , 5, {"a": 2} ] '}).brief() == [("element 2", "NOT_AN_OBJECT", None)]


@pytest.mark.parametrize(
    ("data", "params", "error"),
    [
        (b'[{"a": 1}, {"a"', {}, PartialFile),
        (b'[{"a": 1}, {"a": 2}', {}, PartialFile),
        (b'[{"a": 1} {"a": 2}]', {}, ParseFailed),
        (b'[\n{"a": 1},\n{a: 2}, {"a": "0123456789 0123456789"}]', {}, ParseFailed),
        (b'[{"a": 1}] more', {}, ParseFailed),
        (b'{"rows": [{"a": 1}]}', {"data_path": "items"}, ParseFailed),
        (b'{"rows": 5}', {"data_path": "rows"}, ParseFailed),
        (b'{"rows": 5}', {"data_path": "rows.x"}, ParseFailed),
    ],
)
def test_documents_that_cannot_be_read(
    read: Reader, data: bytes, params: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"a\.json"):
        read({"a.json": data}, **params)


def test_keys_that_come_up_late_are_columns_too(read: Reader) -> None:
    data = b"".join(b'{"a": %d}\n' % number for number in range(12_000)) + b'{"b": 1}\n'
    outcome = read({"a.ndjson": data, "b.ndjson": b'{"c": true}\n'})
    assert outcome.types == {"a": "INTEGER", "b": "INTEGER", "c": "BOOLEAN"}
    assert outcome.rows[-1] == {"a": None, "b": None, "c": True}
    assert len(outcome.rows) == 12_002


def test_the_targets_types_count(read: Reader) -> None:
    data = b'{"at": "2024-01-01T10:00:00+02:00", "n": "7"}\n{"at": 5, "n": 8}\n'
    outcome = read({"a.ndjson": data}, known=known("at TIMESTAMP", "n STRING"))
    assert outcome.rows == [{"at": datetime(2024, 1, 1, 8, tzinfo=UTC), "n": "7"}]
    assert outcome.brief() == [("line 2", "TYPE_MISMATCH", "at")]
    assert outcome.rejects[0]["raw_row"] == '{"at": 5, "n": 8}'


NESTED: list[dict[str, Any]] = [
    {"name": "id", "type": "INTEGER"},
    {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    {
        "name": "items",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [
            {"name": "sku", "type": "STRING", "mode": "REQUIRED"},
            {"name": "price", "type": "NUMERIC", "precision": 12, "scale": 2},
            {"name": "at", "type": "TIMESTAMP"},
        ],
    },
]


def test_declared_records_hold_exact_values(read: Reader) -> None:
    item = '{"sku": "a\\"b", "price": 12.10, "at": "2024-01-01T00:00:00Z"}'
    data = f'{{"id": 1, "tags": ["x", "y"], "items": [{item}]}}\n{{"id": 2}}\n'.encode()
    outcome = read({"a.ndjson": data}, schema=NESTED)
    assert outcome.rows[0]["tags"] == ["x", "y"]
    (found,) = outcome.rows[0]["items"]
    assert found["sku"] == 'a"b'
    assert found["price"] == Decimal("12.10")
    assert found["at"] == datetime(2024, 1, 1, tzinfo=UTC)
    assert outcome.rows[1] == {"id": 2, "tags": None, "items": None}


@pytest.mark.parametrize("kind", ["BYTES", "JSON"])
def test_bytes_and_json_inside_another_are_refused(read: Reader, kind: str) -> None:
    declared = [{"name": "b", "type": kind, "mode": "REPEATED"}]
    with pytest.raises(SchemaMismatch, match=kind):
        read({"a.ndjson": b'{"b": ["AA=="]}\n'}, schema=declared)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ('{"sku": "a", "price": 1.005}', "items[0].price"),
        ('{"price": 1}', "items[0].sku"),
        ('{"sku": "a", "other": 1}', "items[0].other"),
        ('{"sku": "a", "at": "yesterday"}', "items[0].at"),
        ("5", "items[0]"),
    ],
)
def test_a_misfit_inside_a_record_rejects_the_row_by_path(read: Reader, item: str, path: str) -> None:
    outcome = read({"a.ndjson": f'{{"id": 1, "items": [{item}]}}\n{{"id": 2}}\n'.encode()}, schema=NESTED)
    assert [row["id"] for row in outcome.rows] == [2]
    assert outcome.brief() == [("line 1", "TYPE_MISMATCH", path)]
