from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from ingestion.errors import ParseFailed, PartialFile
from ingestion.formats import tokens
from ingestion_tests.formats.conftest import Reader, known, schema_of

ORDERS = """<?xml version="1.0"?>
<orders>
  <order id="007"><n>1</n><x>1.5</x><day>2024-01-01</day><ok>true</ok><empty/></order>
  <order id="008"><n>2</n><x>2</x><day>2024-01-02</day><ok>false</ok><extra>é &amp; "</extra></order>
</orders>"""


def test_types_are_told_from_all_rows(read: Reader) -> None:
    outcome = read({"a.xml": ORDERS.encode()})
    assert outcome.types == {
        "id": "STRING",
        "n": "INTEGER",
        "x": "FLOAT",
        "day": "DATE",
        "ok": "BOOLEAN",
        "empty": "STRING",
        "extra": "STRING",
    }
    assert outcome.rows[0] | {"day": str(outcome.rows[0]["day"])} == {
        "id": "007",
        "n": 1,
        "x": 1.5,
        "day": "2024-01-01",
        "ok": True,
        "empty": None,
        "extra": None,
    }
    assert outcome.rows[1]["extra"] == 'é & "'


def test_a_misfit_far_down_makes_the_column_text(read: Reader) -> None:
    rows = "".join(f"<r><n>{number}</n></r>" for number in range(12_000)) + "<r><n>007</n></r>"
    outcome = read({"a.xml": f"<rs>{rows}</rs>".encode()})
    assert outcome.types == {"n": "STRING"}
    assert [row["n"] for row in outcome.rows] == [str(number) for number in range(12_000)] + ["007"]


def test_nested_and_repeated_elements_are_json(read: Reader) -> None:
    text = '<a><b><c>1</c><d><e f="2">x</e></d></b><b><c>{2</c><c/><d>y</d></b><b><c>5</c></b></a>'
    outcome = read({"a.xml": text.encode()}, record_tag="b")
    assert outcome.types == {"c": "JSON", "d": "JSON"}
    found = [{key: value and json.loads(value) for key, value in row.items()} for row in outcome.rows]
    assert found == [
        {"c": ["1"], "d": {"e": {"f": "2", "_text": "x"}}},
        {"c": ["{2", ""], "d": "y"},
        {"c": ["5"], "d": None},
    ]


def test_declared_records_and_lists_are_that(read: Reader) -> None:
    schema: list[dict[str, Any]] = [
        *schema_of("id INTEGER REQUIRED"),
        {"name": "tag", "type": "STRING", "mode": "REPEATED"},
        {
            "name": "price",
            "type": "RECORD",
            "fields": schema_of("currency STRING", "_text NUMERIC 6 2", "net BOOLEAN"),
        },
    ]
    text = (
        '<a><b id="1"><tag>x</tag><price currency="EUR" net="true">5.10</price></b><b id="2"><tag>x</tag><tag/>'
        '<price/></b><b id="3"><price currency="EUR" tax="1">5</price></b><b id="x"/>'
        '<b id="5"><price>5.111</price></b></a>'
    )
    outcome = read({"a.xml": text.encode()}, schema=schema, record_tag="b")
    assert outcome.rows == [
        {"id": 1, "tag": ["x"], "price": {"currency": "EUR", "_text": Decimal("5.10"), "net": True}},
        {"id": 2, "tag": ["x", ""], "price": None},
    ]
    assert sorted(outcome.brief()) == [
        ("record 3", "TYPE_MISMATCH", "price.tax"),
        ("record 4", "TYPE_MISMATCH", "id"),
        ("record 5", "TYPE_MISMATCH", "price._text"),
    ]
    raw = next(reject["raw_row"] for reject in outcome.rejects if reject["position"] == "record 3")
    assert json.loads(raw) == {"id": "3", "price": {"currency": "EUR", "tax": "1", "_text": "5"}}


def test_rejects_name_what_is_wrong(read: Reader) -> None:
    outcome = read({"a.xml": ORDERS.encode()}, known=known("id INTEGER", "ok DATE"))
    assert outcome.brief() == [
        ("record 1", "TYPE_MISMATCH", "ok"),
        ("record 2", "TYPE_MISMATCH", "ok"),
    ]
    first = outcome.rejects[0]
    assert (first["object"], first["expected"], first["got"]) == ("a.xml", "DATE", "true")
    assert json.loads(first["raw_row"])["id"] == "007"


def test_null_markers_and_formats_of_dates(read: Reader) -> None:
    text = "<a><b><d>31.12.2024</d><t>NA</t></b><b><d>NA</d><t></t></b></a>"
    outcome = read({"a.xml": text.encode()}, record_tag="b", null_values=["NA"], date_format="%d.%m.%Y")
    assert outcome.types == {"d": "DATE", "t": "STRING"}
    assert [(str(row["d"]), row["t"]) for row in outcome.rows] == [("2024-12-31", None), ("None", "")]


def test_encodings_are_the_documents_or_the_declared_one(read: Reader) -> None:
    own = '<?xml version="1.0" encoding="cp1252"?><a><b><c>€</c></b><b/></a>'
    plain = "<a><b><c>€</c></b><b/></a>"
    cases: list[tuple[bytes, dict[str, Any]]] = [
        (own.encode("cp1252"), {}),
        (plain.encode("utf-16"), {}),
        (plain.encode("utf-32"), {}),
        (b"\xef\xbb\xbf" + plain.encode(), {}),
        (plain.encode("cp1252"), {"encoding": "cp1252"}),
        (plain.encode("utf-16-be"), {"encoding": "utf-16-be"}),
    ]
    for data, params in cases:
        assert read({"a.xml": data}, **params).rows == [{"c": "€"}, {"c": None}]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (ORDERS[:-30].encode(), PartialFile, "ends too early"),
        (ORDERS.replace("</order>", "</other>", 1).encode(), ParseFailed, r"'a\.xml', line 3, column \d+"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a><b>&x;</b></a>', ParseFailed, "DOCTYPE"),
        (b"", PartialFile, "empty"),
    ],
)
def test_a_file_that_is_no_xml_fails_with_its_place(
    read: Reader, data: bytes, error: type[ParseFailed] | type[PartialFile], said: str
) -> None:
    with pytest.raises(error, match=said):
        read({"a.xml": data})


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=6).filter(str.strip)


@given(rows=st.lists(st.dictionaries(st.sampled_from("abcd"), TEXTS), min_size=2, max_size=20))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trips(read: Reader, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, str]]) -> None:
    monkeypatch.setattr(tokens, "_BATCH_ROWS", 4)
    root = etree.Element("rows")
    for row in rows:
        element = etree.SubElement(root, "row")
        for key, value in row.items():
            if key == "a":
                element.set(key, value)
            else:
                etree.SubElement(element, key).text = value
    schema = schema_of("a STRING", "b STRING", "c STRING", "d STRING", "e STRING")
    etree.SubElement(root[0], "e").text = "always"
    outcome = read({"a.xml": etree.tostring(root, encoding="utf-8")}, schema=schema, record_tag="row")
    expected = [{key: row.get(key) for key in "abcd"} for row in rows]
    assert [{key: row[key] for key in "abcd"} for row in outcome.rows] == expected
