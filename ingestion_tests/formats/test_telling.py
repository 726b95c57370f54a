from __future__ import annotations

from typing import Any

import pytest

from ingestion_tests.formats.conftest import Reader


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", "9223372036854775807"], "INTEGER"),
        (["007", "1"], "STRING"),
        (["+1"], "STRING"),
        (["12345678901234567890"], "STRING"),
        (["1", "2.5"], "FLOAT"),
        (["29.90", "-0.5", ".5", "1e5"], "FLOAT"),
        (["10.357019999999999", "-72.886806000000007"], "FLOAT"),
        (["0.12345678901234567890"], "STRING"),
        (["9007199254740993", "1.5"], "STRING"),
        (["9999999999999999", "1.5"], "STRING"),
        (["1e400"], "STRING"),
        (["00.5"], "STRING"),
        (["NaN"], "STRING"),
        (["1_000"], "STRING"),
        (["1,5"], "STRING"),
        ([" 1"], "STRING"),
        (["true", "False", "TRUE"], "BOOLEAN"),
        (["true", "yes"], "STRING"),
        (["2024-02-29"], "DATE"),
        (["2024-02-30"], "STRING"),
        (["2024-1-5"], "STRING"),
        (["01/02/2026"], "STRING"),
        (["2024-02-29T10:00:00Z", "2024-02-29 10:00:00.5+05:30"], "TIMESTAMP"),
        (["2024-02-29T10:00:00", "2024-02-29 10:00"], "DATETIME"),
        (["2024-02-29T10:00:00.1234567"], "STRING"),
        (["2024-02-29T10:00:00", "2024-02-29T10:00:00Z"], "STRING"),
        (["2024-02-29", "2024-02-29T10:00:00"], "STRING"),
        (["10:00:00"], "STRING"),
        (["", ""], "STRING"),
        (["", "5"], "INTEGER"),
    ],
)
def test_types_are_told_only_where_nothing_is_changed(read: Reader, values: list[str], kind: str) -> None:
    lines = "".join(f'{number};"{value}"\n' if value else f"{number};\n" for number, value in enumerate(values))
    outcome = read({"a.csv": f"id;v\n{lines}".encode()}, field_delimiter=";")
    assert outcome.types["v"] == kind
    assert len(outcome.rows) == len(values)
    if kind == "STRING":
        assert [row["v"] for row in outcome.rows] == [value or None for value in values]
    if kind == "FLOAT":
        assert [row["v"] for row in outcome.rows] == [float(value) for value in values]


@pytest.mark.parametrize(
    ("late", "kind", "first"), [("oops", "STRING", "1"), ("2.5", "FLOAT", 1.0), ("12345678901234567890", "STRING", "1")]
)
def test_a_value_far_down_widens_the_column_and_rejects_nothing(read: Reader, late: str, kind: str, first: Any) -> None:
    data = b"id,v\n" + b"".join(b"%d,%d\n" % (number, number) for number in range(1, 60_001)) + f"0,{late}\n".encode()
    outcome = read({"a.csv": data})
    assert outcome.types == {"id": "INTEGER", "v": kind}
    assert outcome.rows[0]["v"] == first
    assert len(outcome.rows) == 60_001
    assert outcome.reading.rejected == 0


def test_a_value_of_another_file_widens_it_too(read: Reader) -> None:
    outcome = read({"a.csv": b"v\n1\n", "b.csv": b"v\nx\n"}, field_delimiter=",")
    assert [row["v"] for row in outcome.rows] == ["1", "x"]


def test_dates_in_a_given_form(read: Reader) -> None:
    data = b"d,t,z\n31/12/2024,31.12.2024 23:59,2024-12-31 10:00 +0200\n"
    outcome = read({"a.csv": data}, date_format="%d/%m/%Y", timestamp_format="%d.%m.%Y %H:%M")
    assert outcome.types == {"d": "DATE", "t": "DATETIME", "z": "STRING"}
    assert str(outcome.rows[0]["d"]) == "2024-12-31"
    assert str(outcome.rows[0]["t"]) == "2024-12-31 23:59:00"
    zoned = read({"a.csv": data}, timestamp_format="%Y-%m-%d %H:%M %z")
    assert zoned.types["z"] == "TIMESTAMP"
    assert str(zoned.rows[0]["z"]) == "2024-12-31 08:00:00+00:00"
