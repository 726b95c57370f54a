"""Progress is told now and then."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ingestion.sources.database_reading import Amount, throttled


def test_the_amounts_of_all_readings_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    tick = throttled(told.append, [Amount(1, 10), Amount(2, 20)])
    tick()
    now[0] += 1
    tick()
    tick()
    assert told == [{"rows_extracted": 3, "bytes_processed": 30}]
