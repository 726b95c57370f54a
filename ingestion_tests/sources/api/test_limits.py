"""Pauses: as asked, doubled otherwise, and an end to patience."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingestion.sources.api.limits import MOST_ATTEMPTS, Patience, retry_after

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("Tue, 24 Nov 2026 10:30:05 GMT", 5.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_pauses_double_and_end() -> None:
    patience = Patience(1000)
    pauses = [patience.pause(None) for _ in range(MOST_ATTEMPTS)]
    assert pauses[-1] is None
    known = [pause for pause in pauses if pause is not None]
    assert len(known) == MOST_ATTEMPTS - 1
    for index, pause in enumerate(known):
        assert 0.75 <= pause / min(0.5 * 2**index, 30) <= 1.25


def test_a_wish_beyond_the_patience_ends_it() -> None:
    assert Patience(10).pause(11) is None
    assert Patience(10).pause(3) == 3
    assert Patience(0).pause(None) is None
