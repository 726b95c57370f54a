from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.model.macros import MACRO_NAMES, Interval, bind, embedded_macros, render, unknown_macros

INTERVAL = Interval(
    start=date(2023, 6, 1),
    end=date(2023, 6, 15),
    at=datetime(2023, 6, 16, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
)
VALUES = {
    "ds": "2023-06-01",
    "ds_nodash": "20230601",
    "ts": "2023-06-15T23:30:00+00:00",
    "data_interval_start": "2023-06-01T00:00:00+00:00",
    "data_interval_end": "2023-06-16T00:00:00+00:00",
    "start_date": "2023-06-01",
    "end_date": "2023-06-15",
}

# Text without braces and quotes: what may stand around macros.
plain = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="{}'"), max_size=20)
names = st.sampled_from(MACRO_NAMES)
spaces = st.sampled_from(["", " ", "  ", "\t"])
intervals = st.builds(
    lambda start, days, at: Interval(start, start + timedelta(days=days), at),
    st.dates(date(1, 1, 2), date(9990, 1, 1)),
    st.integers(0, 999),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
)


def test_every_macro_has_its_value() -> None:
    assert {name: INTERVAL.value(name) for name in MACRO_NAMES} == VALUES


def test_the_last_day_there_is_has_values_too() -> None:
    forever = Interval(start=date(2023, 6, 1), end=date.max, at=INTERVAL.at)
    assert forever.value("end_date") == "9999-12-31"
    assert forever.value("data_interval_end") == "9999-12-31T23:59:59.999999+00:00"


def test_an_unknown_name_has_none() -> None:
    with pytest.raises(KeyError):
        INTERVAL.value("execution_date")


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("SELECT 1", []),
        ("{{ds}} {{ ts }} '{{end_date}}'", []),
        ("{{ next_ds }} {{ds}} '{{macros.ds_add(ds, 1)}}'", ["next_ds", "macros.ds_add(ds, 1)"]),
        ("{{DS}}", ["DS"]),
        ("{{}}", [""]),
        ("{ds}", []),
    ],
)
def test_unknown_macros_are_found(query: str, unknown: list[str]) -> None:
    assert unknown_macros(query) == unknown


@pytest.mark.parametrize(
    ("query", "embedded"),
    [
        ("a >= '{{ds}}'", []),
        ("a >= {{ds}}", []),
        ("a = 'it''s' and b = '{{ds}}'", []),
        ("a = 'x {{ds}}'", ["ds"]),
        ("a = '{{ds}} 00:00'", ["ds"]),
        ("a = '{{start_date}}/{{end_date}}'", ["start_date", "end_date"]),
    ],
)
def test_macros_inside_a_longer_literal_are_found(query: str, embedded: list[str]) -> None:
    assert embedded_macros(query) == embedded


def test_the_contract_s_query_is_bound() -> None:
    query, values = bind("SELECT * FROM customers WHERE updated_at >= '{{ds}}'", INTERVAL)
    assert (query, list(values)) == ("SELECT * FROM customers WHERE updated_at >= %s", ["2023-06-01"])


def test_percent_signs_are_kept_for_either_style() -> None:
    query = "a LIKE '5%' AND b % 2 = {{ ds }}"
    assert bind(query, INTERVAL)[0] == "a LIKE '5%%' AND b %% 2 = %s"
    assert bind(query, INTERVAL, placeholder="?")[0] == "a LIKE '5%' AND b % 2 = ?"


@given(st.lists(st.tuples(plain, spaces, names, st.booleans())), plain, intervals)
def test_bind_replaces_macros_and_nothing_else(
    parts: list[tuple[str, str, str, bool]], end: str, interval: Interval
) -> None:
    macros = [
        f"'{{{{{space}{name}{space}}}}}'" if quoted else f"{{{{{name}{space}}}}}" for _, space, name, quoted in parts
    ]
    query = "".join(text + macro for (text, *_), macro in zip(parts, macros, strict=True)) + end
    assert unknown_macros(query) == []
    assert embedded_macros(query) == []
    bound, values = bind(query, interval)
    assert list(values) == [interval.value(name) for _, _, name, _ in parts]
    # What a driver of this style makes of it: the text as it was, a value where each macro stood.
    assert bound % tuple(values) == "".join(text + interval.value(name) for text, _, name, _ in parts) + end


@given(plain, names, plain, intervals)
def test_render_puts_the_values_in(before: str, name: str, after: str, interval: Interval) -> None:
    assert render(f"{before}{{{{{name}}}}}{after}", interval) == f"{before}{interval.value(name)}{after}"


@given(plain)
def test_text_without_macros_stays(text: str) -> None:
    assert render(text, INTERVAL) == text
    assert bind(text, INTERVAL, placeholder="?") == (text, [])


@given(intervals)
def test_values_are_days_and_instants_a_database_reads(interval: Interval) -> None:
    values = {name: interval.value(name) for name in MACRO_NAMES}
    assert date.fromisoformat(values["ds"]) == date.fromisoformat(values["start_date"]) == interval.start
    assert datetime.strptime(values["ds_nodash"], "%Y%m%d").date() == interval.start
    start, end = (datetime.fromisoformat(values[f"data_interval_{side}"]) for side in ("start", "end"))
    assert (end - start).days == (interval.end - interval.start).days + 1
    assert datetime.fromisoformat(values["ts"]) == interval.at.replace(microsecond=0)


def test_bound_values_never_become_sql() -> None:
    query, values = bind("SELECT {{ds}} || '{{end_date}}'", INTERVAL, placeholder="?")
    with duckdb.connect() as connection:
        assert connection.execute(query, list(values)).fetchall() == [("2023-06-012023-06-15",)]
