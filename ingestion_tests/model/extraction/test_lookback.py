from __future__ import annotations

import pytest

from ingestion.model.extraction.lookback import parse_span


@pytest.mark.parametrize(
    ("text", "seconds"), [("90 seconds", 90), ("2 hours", 7200), (" 1 Day ", 86_400), ("1week", 604_800)]
)
def test_spans(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "0 days", "-1 day", "1.5 hours", "1 month", "2 hours ago"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="such as '2 hours'; the units are seconds, minutes, hours, days, weeks"):
        parse_span(text)
