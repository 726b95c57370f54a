from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.errors import ParseFailed
from ingestion.formats import records
from ingestion_tests.formats.conftest import Reader, known, schema_of


def test_quoted_line_ends_bom_crlf_nul_and_blank_lines_are_read(read: Reader) -> None:
    data = b'\xef\xbb\xbfid,text\r\n1,"two\r\nlines"\r\n\r\n2,"say ""hi"""\r\n3,a\x00b\r\n4,\xc3\xa9'
    outcome = read({"a.csv": data})
    assert [row["text"] for row in outcome.rows] == ["two\r\nlines", 'say "hi"', "a\x00b", "é"]
    assert outcome.reading.schema.names == ["id", "text"]
    assert not outcome.rejects


def test_ragged_rows_are_rejected_with_their_lines(read: Reader) -> None:
    outcome = read({"a.csv": b'a,b,c\n1,"x\ny",3\n4,5\n6,7,8,9\n10,11,12\n'})
    assert [row["a"] for row in outcome.rows] == [1, 10]
    assert outcome.brief() == [("line 4", "MISSING_COLUMNS", "c"), ("line 5", "TOO_MANY_COLUMNS", None)]
    assert [reject["raw_row"] for reject in outcome.rejects] == ["4,5", "6,7,8,9"]
    assert outcome.rejects[0]["expected"] == "3 columns"
    assert outcome.rejects[0]["got"] == "2"
    assert outcome.rejects[0]["object"] == "a.csv"


def test_an_unclosed_quote_is_rejected_and_never_a_value(read: Reader) -> None:
    outcome = read({"a.csv": b'a,b\n1,x\n2,"open\r\n3,y\n4\n5,z\n'})
    assert [row["a"] for row in outcome.rows] == [1, 3, 5]
    assert outcome.brief() == [("line 3", "UNCLOSED_QUOTE", None), ("line 5", "MISSING_COLUMNS", "b")]
    assert outcome.rejects[0]["raw_row"] == '2,"open'


def test_lines_after_a_quote_open_for_too_long_are_rows(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST_ROW", 1_000)
    data = b'a,b\n1,"open\n' + b"".join(b"%d,x\n" % number for number in range(2, 3_000)) + b'3000,"x\ny"\n'
    outcome = read({"a.csv": data})
    assert [row["a"] for row in outcome.rows] == list(range(2, 3_001))
    assert outcome.rows[-1]["b"] == "x\ny"
    assert outcome.brief() == [("line 2", "ROW_TOO_LONG", None)]


def test_an_unclosed_quote_in_one_column_keeps_its_lines(read: Reader) -> None:
    outcome = read({"a.csv": b'a\nx\n"open\ny\n'})
    assert [row["a"] for row in outcome.rows] == ["x"]
    assert [(reject["position"], reject["raw_row"]) for reject in outcome.rejects] == [("line 3", '"open\ny')]


def test_bytes_that_are_not_utf8_are_rejected_with_their_line(read: Reader) -> None:
    outcome = read({"a.csv": b"a,b\n1,caf\xe9\n2,x\n"})
    assert outcome.rows == [{"a": 2, "b": "x"}]
    assert outcome.brief() == [("line 2", "INVALID_ENCODING", None)]
    assert outcome.rejects[0]["raw_row"] == "1,caf\\xe9"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-be"])
def test_other_encodings_are_transcoded(read: Reader, encoding: str) -> None:
    data = "name;city\nJosé;Zürich\n".encode(encoding)
    outcome = read({"a.csv": data}, encoding=encoding)
    assert outcome.rows == [{"name": "José", "city": "Zürich"}]


def test_utf16_is_told_by_its_mark(read: Reader) -> None:
    assert read({"a.csv": "a,b\n1,é\n".encode("utf-16")}).rows == [{"a": 1, "b": "é"}]


def test_text_that_is_not_in_the_declared_encoding_names_the_line(read: Reader) -> None:
    with pytest.raises(ParseFailed, match=r"line 2"):
        read({"a.csv": b"a,b\n1,\x81\n"}, encoding="cp1252")


def test_mixed_line_ends_are_read(read: Reader) -> None:
    outcome = read({"a.csv": b'a,b\r\n1,x\n2,"p\r\nq"\r\n3,z\n4\n'})
    assert [row["b"] for row in outcome.rows] == ["x", "p\r\nq", "z"]
    assert outcome.brief() == [("line 6", "MISSING_COLUMNS", "b")]


def test_a_stray_carriage_return_is_rejected(read: Reader) -> None:
    outcome = read({"a.csv": b'a,b\n1,x\ry\n2,"z"\n3,"p"q\n4,r\n'})
    assert [row["a"] for row in outcome.rows] == [2, 4]
    assert outcome.brief() == [("line 2", "STRAY_LINE_END", None), ("line 4", "BAD_QUOTES", None)]


def test_old_macintosh_line_ends_are_read(read: Reader) -> None:
    outcome = read({"a.csv": b"a,b\r1,x\r2\r3,z\r"})
    assert [row["a"] for row in outcome.rows] == [1, 3]
    assert outcome.brief() == [("line 3", "MISSING_COLUMNS", "b")]


def test_null_markers_count_unquoted_in_text_and_always_in_numbers(read: Reader) -> None:
    outcome = read({"a.csv": b'n,t\nNA,NA\n"NA","NA"\n,\n"",""\n1,x\n'}, null_values=["NA"])
    assert outcome.rows == [
        {"n": None, "t": None},
        {"n": None, "t": "NA"},
        {"n": None, "t": ""},
        {"n": None, "t": ""},
        {"n": 1, "t": "x"},
    ]


def test_by_default_an_unquoted_empty_cell_is_null_and_a_quoted_one_is_not(read: Reader) -> None:
    assert read({"a.csv": b'a,b\nx,\ny,""\n'}).rows == [{"a": "x", "b": None}, {"a": "y", "b": ""}]


def test_one_column_may_have_blank_lines(read: Reader) -> None:
    assert [row["a"] for row in read({"a.csv": b"a\n1\n\n3\n"}).rows] == [1, None, 3]


@pytest.mark.parametrize(
    ("name", "data", "params"),
    [
        ("a.tsv", b"a\tb\n1\tx,y\n", {}),
        ("a.csv", b"a;b\n1;x,y\n", {}),
        ("a.csv", b"a|b\n1|x,y\n", {}),
        ("a.csv", b"a||b\n1||x,y\n", {"field_delimiter": "||"}),
        ("a.csv", b"a\tb\n1\tx,y\n", {"field_delimiter": "\\t"}),
        ("a.csv", b"a,b\n1,'x,y'\n", {"quote": "'"}),
        ("a.csv", b'a,b\n1,"x,y"\n', {"escape": "\\"}),
        ("a.txt", b"a:b\n1:x,y\n", {"field_delimiter": ":", "file_format": "CSV"}),
    ],
)
def test_dialects(read: Reader, name: str, data: bytes, params: dict[str, Any]) -> None:
    assert read({name: data}, **params).rows == [{"a": 1, "b": "x,y"}]


def test_backslash_escapes(read: Reader) -> None:
    assert read({"a.csv": b'a,b\n1,"say \\"hi\\""\n'}, escape="\\").rows == [{"a": 1, "b": 'say "hi"'}]


def test_an_unclear_delimiter_is_refused(read: Reader) -> None:
    with pytest.raises(ParseFailed, match="field_delimiter"):
        read({"a.csv": b"a,b;c\n1,2;3\n"})


def test_a_header_that_looks_like_data_is_refused_unless_said_so(read: Reader) -> None:
    with pytest.raises(ParseFailed, match="skip_header_rows"):
        read({"a.csv": b"1,x\n2,y\n"})
    assert read({"a.csv": b"1,x\n2,y\n"}, skip_header_rows=0).rows == [{"f0": 1, "f1": "x"}, {"f0": 2, "f1": "y"}]
    assert read({"a.csv": b"1,x\n2,y\n"}, skip_header_rows=1).rows == [{"1": 2, "x": "y"}]


def test_lines_before_the_header_are_skipped_and_counted(read: Reader) -> None:
    data = b'Report of "today\n\nid,n\n1,2\n3\n'
    outcome = read({"a.csv": data}, skip_header_rows=3)
    assert outcome.rows == [{"id": 1, "n": 2}]
    assert outcome.brief() == [("line 5", "MISSING_COLUMNS", "n")]


def test_empty_and_repeated_names_are_made_unique(read: Reader) -> None:
    outcome = read({"a.csv": b"a,,A,a,\n1,2,3,4,5\n"})
    assert outcome.reading.schema.names == ["a", "f1", "A_2", "a_3", "f4"]


def test_without_a_header_declared_names_count_by_position(read: Reader) -> None:
    outcome = read({"a.csv": b"007,1\n008,2\n"}, skip_header_rows=0, schema=schema_of("code STRING", "n INTEGER"))
    assert outcome.rows == [{"code": "007", "n": 1}, {"code": "008", "n": 2}]


def test_files_without_rows(read: Reader) -> None:
    assert read({"a.csv": b"a,b\n"}).reading.schema.names == ["a", "b"]
    assert read({"a.csv": b"a,b"}).types == {"a": "STRING", "b": "STRING"}
    assert read({"a.csv": b""}).reading.rows == 0
    assert read({"a.csv": b"a,b\n", "b.csv": b"", "c.csv": b"a\n1\n"}).rows == [{"a": 1, "b": None}]


def test_many_files_are_a_union_by_name(read: Reader) -> None:
    outcome = read({"a.csv": b"id,x\n1,2\n", "b.csv": b"ID,y\n3,z\n"})
    assert outcome.rows == [{"id": 1, "x": 2, "y": None}, {"id": 3, "x": None, "y": "z"}]


def test_type_rejects_name_line_value_and_row(read: Reader) -> None:
    data = b'id,note,n\n1,"two\nlines",5\n2,x\n\n3,y,five\n4,z,6\n5,,7.5\n,w,8\n'
    outcome = read({"a.csv": data}, schema=schema_of("id INTEGER REQUIRED", "n INTEGER"))
    assert [row["id"] for row in outcome.rows] == [1, 4]
    found = {reject["position"]: reject for reject in outcome.rejects}
    assert sorted(found) == ["line 4", "line 6", "line 8", "line 9"]
    assert found["line 6"]["raw_row"] == "3,y,five"
    assert (found["line 6"]["column_name"], found["line 6"]["expected"], found["line 6"]["got"]) == (
        "n",
        "INTEGER",
        "five",
    )
    assert found["line 8"]["got"] == "7.5"
    assert (found["line 9"]["error_code"], found["line 9"]["expected"]) == ("REQUIRED_NULL", "INTEGER REQUIRED")


def test_the_targets_types_count_and_reject(read: Reader) -> None:
    outcome = read({"a.csv": b"id,code,extra\n1,7,q\nx,008,r\n"}, known=known("ID INTEGER", "code STRING"))
    assert outcome.rows == [{"ID": 1, "code": "7", "extra": "q"}]
    assert outcome.brief() == [("line 3", "TYPE_MISMATCH", "ID")]


_CELL = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["", "1", "-5", "2.50", "a,b", 'q"q', "li\nne", "cr\r\nlf", " x ", "NULL", "007", "2024-01-01"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(_CELL, min_size=1, max_size=4), max_size=30),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_no_row_is_lost_or_changed_whatever_it_holds(read: Reader, rows: list[list[str]], end: str) -> None:
    """Counted against Python's own CSV writer: rows of three cells come back, all others are rejected."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b", "c"])
    writer.writerows(rows)
    outcome = read({"a.csv": text.getvalue().encode()}, schema=schema_of("a STRING", "b STRING", "c STRING"))
    whole = [row for row in rows if len(row) == 3]
    assert [list(row.values()) for row in outcome.rows] == whole
    assert outcome.reading.rows == len(rows)


def test_ragged_rows_between_quoted_line_ends_in_a_large_file(read: Reader) -> None:
    """The parallel reader of DuckDB loses rows here."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "a", "b"])
    good = bad = 0
    for number in range(150_000):
        if number % 11:
            writer.writerow([number, "line\nend" if number % 3 else 'q"q', "x" * (number % 90)])
            good += 1
        else:
            writer.writerow([number, "short"])
            bad += 1
    outcome = read({"a.csv": text.getvalue().encode()})
    assert len(outcome.rows) == good
    assert len(outcome.rejects) == bad
    assert sum(row["id"] for row in outcome.rows) == sum(n for n in range(150_000) if n % 11)
    assert outcome.types["id"] == "INTEGER"
