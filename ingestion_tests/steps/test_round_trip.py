"""Every type through all steps into DuckDB, value for value, over several batches of the engine."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from ingestion.model.schema import FieldMode, FieldType, SchemaField, TableSchema
from ingestion_tests.steps.workbench import Bench, RowsConnector

# DuckDB works on 2048 rows at a time: three boundaries are crossed, and one batch is not full.
ROWS = 3 * 2048 + 7
# Rows repeat after so many, a number that no list of values and no batch divides.
PERIOD = 71
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_text = st.sampled_from(
    ["null", '""', "0", "-0.0", "1e400", "12345678901234567890.5", '{"b": 1, "a":2, "b":3}', "[ ]"]
)
VALUES: Mapping[FieldType, tuple[st.SearchStrategy[Any], Sequence[Any]]] = {
    FieldType.STRING: (text, ["", "\0", "a\0b", "'\"`\\", "\r\n\t ", "🙂e\u0301", "NULL", "x" * 1_000_000]),
    FieldType.BYTES: (st.binary(max_size=20), [b"", b"\0", b"\xff\xfe\0", bytes(range(256))]),
    FieldType.INTEGER: (st.integers(-(2**63), 2**63 - 1), [-(2**63), 2**63 - 1, 2**53 + 1, -(2**53) - 1, 0]),
    FieldType.FLOAT: (st.floats(), [math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1.7976931348623157e308, 0.1]),
    FieldType.NUMERIC: (
        st.decimals("-1e28", "1e28", places=9),
        [Decimal("99999999999999999999999999999.999999999"), Decimal("-0.000000001"), Decimal("0E-9")],
    ),
    FieldType.BIGNUMERIC: (
        st.decimals("-1e19", "1e19", places=18),
        [Decimal("99999999999999999999.999999999999999999"), Decimal("0.000000000000000001")],
    ),
    FieldType.BOOLEAN: (st.booleans(), [True, False]),
    FieldType.TIMESTAMP: (
        st.datetimes(_FIRST, _LAST, timezones=st.just(UTC)),
        [_FIRST.replace(tzinfo=UTC), _LAST.replace(tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)],
    ),
    FieldType.DATETIME: (st.datetimes(_FIRST, _LAST), [_FIRST, _LAST, datetime(1970, 1, 1, 0, 0, 0, 1)]),
    FieldType.DATE: (st.dates(), [date.min, date.max, date(1970, 1, 1), date(1582, 10, 10), date(2024, 2, 29)]),
    FieldType.TIME: (st.times(), [time(0, 0), time(23, 59, 59, 999999), time(0, 0, 0, 1)]),
    FieldType.JSON: (json_text, ["null", '"null"', '"\\u0000"', "1e400", '{"a": [null, {}]}']),
}


def _schema() -> TableSchema:
    scalars = [SchemaField(name=kind.lower(), type=kind) for kind in VALUES]
    lists = [field.model_copy(update={"name": f"{field.name}_s", "mode": FieldMode.REPEATED}) for field in scalars]
    inner = SchemaField(name="inner", type=FieldType.RECORD, fields=(*scalars[:5], lists[0]))
    outer = SchemaField(name="r", type=FieldType.RECORD, fields=(*scalars, inner))
    many = SchemaField(name="many", type=FieldType.RECORD, mode=FieldMode.REPEATED, fields=tuple(scalars[:3]))
    return TableSchema(fields=(*scalars, *lists, outer, many))


SCHEMA = _schema()


def value_of(field: SchemaField, pools: Mapping[FieldType, Sequence[Any]], number: int) -> Any:
    """A value that depends on the row's number: NULL, empty and extreme ones come at different rows of each column."""
    if field.mode is FieldMode.REPEATED:
        one = field.model_copy(update={"mode": FieldMode.NULLABLE})
        if number % 5 == 0:
            return None
        return [value_of(one, pools, number + 1 + item) for item in range(number % 5 - 1)]
    if field.type is FieldType.RECORD:
        if number % 7 == 0:
            return None
        return {part.name: value_of(part, pools, number + place) for place, part in enumerate(field.fields or ())}
    pool = pools[field.type]
    return pool[number % len(pool)]


def row_of(pools: Mapping[FieldType, Sequence[Any]], number: int) -> dict[str, Any]:
    return {field.name: value_of(field, pools, number) for field in SCHEMA.fields}


EXTREMES = {kind: [None, *known] for kind, (_, known) in VALUES.items()}
# One long text in a column of its own rows is enough, in every list and record it would be gigabytes.
SHORT = EXTREMES | {FieldType.STRING: [*EXTREMES[FieldType.STRING][:-1], "x" * 100]}
pools_of = st.fixed_dictionaries(
    {kind: st.lists(st.one_of(st.none(), values), min_size=1, max_size=7) for kind, (values, _) in VALUES.items()}
)


@settings(max_examples=1, deadline=None, phases=[Phase.explicit, Phase.generate])
@example(SHORT)
@given(pools_of)
def test_every_value_arrives_as_it_was(pools: Mapping[FieldType, Sequence[Any]]) -> None:
    some = [row_of(pools, number) for number in range(PERIOD)]
    rows = [dict(some[number % PERIOD]) for number in range(ROWS)]
    rows[4097]["string"] = EXTREMES[FieldType.STRING][-1]
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(Path(home), {"load_params": {"write_disposition": "WRITE_APPEND"}})
        result = bench.run(RowsConnector(SCHEMA, {"f": rows}), "e1")
        assert (result.loaded, result.extracted) == (ROWS, ROWS)
        with duckdb.connect(str(bench.warehouse.path("ds")), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute("FROM main.t ORDER BY rowid").to_arrow_table()
    for field in SCHEMA.fields:
        there = found.column(field.name).to_pylist()
        wanted = [repr(_plain(row[field.name])) for row in rows]
        wrong = [n for n in range(ROWS) if repr(_plain(there[n])) != wanted[n]]
        assert wrong == [], f"{field.name} row {wrong[0]}: {there[wrong[0]]!r} for {rows[wrong[0]][field.name]!r}"


def _plain(value: Any) -> Any:
    """What `repr` tells apart when it differs: every digit, and NaN. Of the two zeros DuckDB may store either."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Decimal):
        return f"{value:.18f}" if value else Decimal(0)
    if value == 0.0 and isinstance(value, float):
        return 0.0
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is not None else value
