from __future__ import annotations

from ingestion.processes.backoff import Backoff


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    backoff = Backoff()
    waits = [backoff.next() for _ in range(8)]
    for expected, wait in zip([1, 2, 4, 8, 16], waits, strict=False):
        assert expected <= wait <= expected * 1.25
    assert waits[5:] == [30.0, 30.0, 30.0]


def test_many_failures_do_not_overflow() -> None:
    assert Backoff(failures=900).next() == 30.0


def test_reset_starts_over() -> None:
    backoff = Backoff(failures=5)
    backoff.reset()
    assert backoff.next() <= 1.25
