"""Values of mappings as the readers of files get them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.errors import ParseFailed
from ingestion.sources.custom_batches import Batches


def written(tmp_path: Path, batches: Sequence[Any]) -> list[bytes]:
    contents = []
    for number, file in enumerate(Batches("b", batches, lambda: None).files()):
        path = tmp_path / str(number)
        file.fetch(path)
        contents.append(path.read_bytes())
    return contents


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (Decimal("12345678901234567890.10"), "12345678901234567890.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), '"NaN"'),
        (2**70, str(2**70)),
        (float("inf"), '"inf"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(1, 2, 3), '"01:02:03"'),
        (datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))), '"2026-01-02T01:04:00+00:00"'),
        (datetime(2026, 1, 2, 3, 4), '"2026-01-02T03:04:00"'),
        (b"\x00\xff", '"AP8="'),
        ([Decimal("1.0"), {"a": date(2026, 1, 2)}], '[1.0, {"a": "2026-01-02"}]'),
    ],
)
def test_values_json_has_no_form_for(tmp_path: Path, value: Any, token: str) -> None:
    [content] = written(tmp_path, [[{"v": value}]])
    assert content.decode() == f'{{"v": {token}}}\n'


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "a\nä\u2028", [], {}, [1, [None]]])
def test_values_json_has_a_form_for(tmp_path: Path, value: Any) -> None:
    [content] = written(tmp_path, [[{"v": value}]])
    assert content.count(b"\n") == 1
    assert json.loads(content) == {"v": value}


@pytest.mark.parametrize(("row", "message"), [({"v": object()}, "of type object"), ((1, 2), "rows are mappings")])
def test_what_is_no_value_is_refused(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ParseFailed, match=message):
        written(tmp_path, [[row]])


def test_empty_batches_leave_nothing_and_new_schemas_begin_new_files(tmp_path: Path) -> None:
    one, two = pa.record_batch({"a": [1]}), pa.record_batch({"a": ["x"], "b": [datetime(2026, 1, 1, tzinfo=UTC)]})
    assert written(tmp_path, [[], []]) == []
    assert [content[:4] for content in written(tmp_path, [one, one, two, one])] == [b"PAR1"] * 3
