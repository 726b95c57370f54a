from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.formats.casting import Formats, cast
from ingestion.formats.engine import engine
from ingestion.formats.types import literal
from ingestion.model.schema import FieldType, SchemaField


def value_of(tmp_path: Path, text: str, kind: str, formats: Formats | None = None, **digits: int) -> Any:
    field = SchemaField(name="x", type=FieldType(kind), **digits)  # type: ignore[arg-type]
    with engine(tmp_path) as connection:
        row = connection.execute(f"SELECT {cast(literal(text), field, formats or Formats())}").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", "INTEGER", 5),
        (" 007 ", "INTEGER", 7),
        ("5.0", "INTEGER", 5),
        ("5.5", "INTEGER", None),
        ("1_000", "INTEGER", None),
        ("9223372036854775808", "INTEGER", None),
        ("1e3", "INTEGER", None),
        ("", "INTEGER", None),
        ("1.5e3", "FLOAT", 1500.0),
        ("-inf", "FLOAT", float("-inf")),
        ("1e400", "FLOAT", None),
        ("abc", "FLOAT", None),
        ("t", "BOOLEAN", True),
        ("NO", "BOOLEAN", False),
        ("2", "BOOLEAN", None),
        ("2024-02-29", "DATE", date(2024, 2, 29)),
        ("2024-2-9", "DATE", date(2024, 2, 9)),
        ("2024-02-29 00:00:00", "DATE", date(2024, 2, 29)),
        ("2024-02-29 10:00:00", "DATE", None),
        ("2023-02-29", "DATE", None),
        ("infinity", "DATE", None),
        ("2024-01-01 10:00", "DATETIME", datetime(2024, 1, 1, 10)),
        ("2024-01-01", "DATETIME", datetime(2024, 1, 1)),
        ("2024-01-01T10:00:00Z", "DATETIME", None),
        ("2024-01-01T10:00:00.1234567", "DATETIME", None),
        ("2024-01-01T10:00:00.1234560", "DATETIME", datetime(2024, 1, 1, 10, 0, 0, 123456)),
        ("2024-01-01T10:00:00Z", "TIMESTAMP", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("2024-01-01T10:00:00", "TIMESTAMP", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("2024-01-01 10:00:00 UTC", "TIMESTAMP", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("2024-01-01 10:00:00+05:30", "TIMESTAMP", datetime(2024, 1, 1, 4, 30, tzinfo=UTC)),
        ("2024-01-01 10:00:00-03", "TIMESTAMP", datetime(2024, 1, 1, 13, tzinfo=UTC)),
        ("2024-01-01 10:00+02", "TIMESTAMP", datetime(2024, 1, 1, 8, tzinfo=UTC)),
        ("2024-01-01 10:00:00 Europe/Berlin", "TIMESTAMP", None),
        ("1704103200", "TIMESTAMP", None),
        ("23:59:59.5", "TIME", time(23, 59, 59, 500000)),
        ("24:00:00", "TIME", None),
        ("AAEC", "BYTES", b"\x00\x01\x02"),
        ("AAE", "BYTES", None),
        ('{"a": 1.10}', "JSON", '{"a": 1.10}'),
        ("{a}", "JSON", None),
        (" as it is ", "STRING", " as it is "),
    ],
)
def test_text_fits_exactly_or_not_at_all(tmp_path: Path, text: str, kind: str, value: Any) -> None:
    assert value_of(tmp_path, text, kind) == value


@pytest.mark.parametrize(
    ("text", "precision", "scale", "value"),
    [
        ("1.25", 10, 2, "1.25"),
        ("1.250", 10, 2, "1.25"),
        ("1.255", 10, 2, None),
        ("99999999.99", 10, 2, "99999999.99"),
        ("100000000", 10, 2, None),
        ("1e2", 10, 2, "100.00"),
        ("1.25e-1", 10, 2, None),
        ("NaN", 10, 2, None),
        ("-.5", 10, 2, "-0.50"),
        ("12345678901234567890123456789.123456789", 38, 9, "12345678901234567890123456789.123456789"),
    ],
)
def test_decimals_are_never_rounded(tmp_path: Path, text: str, precision: int, scale: int, value: str | None) -> None:
    found = value_of(tmp_path, text, "NUMERIC", precision=precision, scale=scale)
    assert found == (None if value is None else Decimal(value))


def test_given_forms_replace_iso(tmp_path: Path) -> None:
    forms = Formats(date="%d/%m/%Y", timestamp="%d/%m/%Y %H:%M %z")
    assert value_of(tmp_path, "31/12/2024", "DATE", forms) == date(2024, 12, 31)
    assert value_of(tmp_path, "2024-12-31", "DATE", forms) is None
    assert value_of(tmp_path, "31/12/2024 10:00 +0100", "TIMESTAMP", forms) == datetime(2024, 12, 31, 9, tzinfo=UTC)
