from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import SchemaMismatch, TooLarge
from ingestion.formats import lines, text_files
from ingestion_tests.formats.conftest import Reader, schema_of

FIELDS = [
    {"name": "id", "start": 1, "width": 3},
    {"name": "amount", "start": 6, "width": 6},
    {"name": "c", "start": 4, "width": 2},
]


def test_fixed_width_columns_are_cut_and_told(read: Reader) -> None:
    text = "001DE  1.50\n002FR 12.00\r\n003é   0.25   \n\n004       \n"
    outcome = read({"a.txt": text.encode()}, fields=FIELDS)
    assert outcome.types == {"id": "STRING", "amount": "FLOAT", "c": "STRING"}
    assert outcome.rows == [
        {"id": "001", "amount": 1.5, "c": "DE"},
        {"id": "002", "amount": 12.0, "c": "FR"},
        {"id": "003", "amount": 0.25, "c": "é"},
    ]
    assert outcome.brief() == [("line 5", "LINE_TOO_SHORT", None)]


def test_lines_of_another_length_are_rejected(read: Reader) -> None:
    outcome = read(
        {"a.dat": b"head\n001DE  1.50\n001\n001DE  1.50x\n001DE  \xff.50\n"},
        fields=FIELDS,
        file_format="TEXT",
        skip_header_rows=1,
    )
    assert len(outcome.rows) == 1
    assert outcome.brief() == [
        ("line 3", "LINE_TOO_SHORT", None),
        ("line 4", "LINE_TOO_LONG", None),
        ("line 5", "INVALID_ENCODING", None),
    ]
    assert [(reject["expected"], reject["got"], reject["raw_row"]) for reject in outcome.rejects[:2]] == [
        ("11 characters", "3", "001"),
        ("11 characters", "12", "001DE  1.50x"),
    ]


def test_declared_types_reject_with_the_line(read: Reader) -> None:
    outcome = read(
        {"a.txt": b"001DE  1.50\n002DE  x\xe9   \n"},
        fields=FIELDS,
        encoding="cp1252",
        schema=schema_of("amount NUMERIC 6 2"),
    )
    assert [str(row["amount"]) for row in outcome.rows] == ["1.50"]
    assert outcome.brief() == [("line 2", "TYPE_MISMATCH", "amount")]
    assert json.loads(outcome.rejects[0]["raw_row"]) == {"id": "002", "amount": "xé", "c": "DE"}


def test_null_markers_and_dates(read: Reader) -> None:
    fields = [{"name": "d", "start": 1, "width": 8}, {"name": "n", "start": 9, "width": 3}]
    outcome = read(
        {"a.txt": b"20240131999\n20240201  7\n"},
        fields=fields,
        null_values=["999", ""],
        date_format="%Y%m%d",
        schema=schema_of("d DATE"),
    )
    assert [(str(row["d"]), row["n"]) for row in outcome.rows] == [("2024-01-31", None), ("2024-02-01", 7)]


def test_delimited_text_has_no_quotes_and_no_header(read: Reader) -> None:
    outcome = read({"a.txt": b'1|"a\n2|b"|\n3\n'}, field_delimiter="|")
    assert outcome.rows == [{"f0": 1, "f1": '"a'}, {"f0": 2, "f1": 'b"'}]
    assert outcome.brief() == [("line 3", "MISSING_COLUMNS", "f1")]
    named = read({"a.txt": b"n|t\n1|'a|b'\n"}, field_delimiter="|", skip_header_rows=1, quote="'")
    assert named.rows == [{"n": 1, "t": "a|b"}]


def test_whole_lines_are_one_column_of_text(read: Reader) -> None:
    outcome = read({"a.txt": b"1\n\n  2,x \n\xff\n"})
    assert outcome.types == {"line": "STRING"}
    assert [row["line"] for row in outcome.rows] == ["1", "", "  2,x "]
    assert outcome.brief() == [("line 4", "INVALID_ENCODING", None)]
    assert read({"a.txt": "é\n".encode("utf-16")}).rows == [{"line": "é"}]
    assert read({"a.txt": b""}).rows == []


def test_a_schema_names_the_columns_that_are_there(read: Reader) -> None:
    with pytest.raises(SchemaMismatch, match="'x' of the schema is not among"):
        read({"a.txt": b"1\n"}, schema=schema_of("x STRING"))
    assert read({"a.txt": b"1\nx\n"}, schema=schema_of("line INTEGER")).brief() == [("line 2", "TYPE_MISMATCH", "line")]


def test_an_endless_line_is_too_large(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 1_000)
    with pytest.raises(TooLarge, match=r"'a\.txt', line 3: more than 1000 bytes"):
        read({"a.txt": b"1\n2\n" + b"x" * 2_000})


def test_many_lines_keep_their_order_and_number(read: Reader) -> None:
    data = b"".join(b"%06d\n" % number for number in range(50_000)) + b"x\n"
    outcome = read({"a.txt": data}, fields=[{"name": "n", "start": 1, "width": 6}], schema=schema_of("n INTEGER"))
    assert [row["n"] for row in outcome.rows] == list(range(50_000))
    assert outcome.brief() == [("line 50001", "LINE_TOO_SHORT", None)]


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=5)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trips(read: Reader, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, str]]) -> None:
    monkeypatch.setattr(text_files, "_BATCH_LINES", 7)
    data = "".join(f"{first:<5}{second:>6}\n" for first, second in rows).encode()
    fields = [{"name": "a", "start": 1, "width": 5}, {"name": "b", "start": 6, "width": 6}]
    outcome = read({"a.txt": data}, fields=fields, schema=schema_of("a STRING", "b STRING"))
    assert [(row["a"], row["b"]) for row in outcome.rows] == rows
