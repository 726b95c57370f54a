from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ingestion import clock


def test_now_is_aware_utc() -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2023, 6, 15, 10, 30, 0, 999_999, tzinfo=UTC),
        datetime(2023, 6, 15, 16, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(2023, 6, 14, 22, 30, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_on_the_wire_it_is_utc_in_whole_seconds(instant: datetime) -> None:
    assert clock.to_wire(instant) == "2023-06-15T10:30:00Z"
